use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all: a keeper is a process of its own kind that shares only the file.
    #[cfg(target_os = "linux")]
    if let Some(code) = tollgate::tools::keeper::entry() {
        return code;
    }
    ExitCode::SUCCESS
}
