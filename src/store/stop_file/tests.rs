use super::*;
use crate::domain::AgentName;

fn stop(scope: StopScope) -> Stop {
    Stop {
        scope,
        by: "ana".into(),
        text: Some("two\nlines".into()),
        at: "2026-11-20T16:05:10Z".into(),
    }
}

#[test]
fn a_pipe_in_its_place_stops_everything_and_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("STOP");
    let fifo = |path: &Path| {
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, path, kind, 0o600.into(), 0).unwrap();
    };
    let scopes = |file: &Path| -> Vec<StopScope> {
        pulled(file).into_iter().map(|stop| stop.scope).collect()
    };
    let agent = StopScope::Agent(AgentName::parse("dev").unwrap());
    let (tell, done) = std::sync::mpsc::channel();
    thread::spawn(move || {
        fifo(&file);
        assert_eq!(scopes(&file), [StopScope::Everything]);
        pull(&file, &stop(agent.clone())).unwrap();
        assert_eq!(scopes(&file), [agent, StopScope::Everything]);
        fs::remove_file(&file).unwrap();
        fifo(&file);
        assert!(lift(&file, &StopScope::Everything).unwrap());
        assert!(!file.exists());
        fifo(&file);
        let mut put = Vec::new();
        honour(&file, |stop| {
            put.push(stop.scope);
            Ok(())
        })
        .unwrap();
        assert_eq!(put, [StopScope::Everything]);
        assert!(pulled(&file).is_empty());
        tell.send(()).unwrap();
    });
    done.recv_timeout(Duration::from_secs(10)).unwrap();
    drop(dir);
}

#[test]
fn a_directory_in_its_place_stops_everything_and_gives_way() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("STOP");
    fs::create_dir(&file).unwrap();
    let stopped = |file: &Path| {
        let mut stops = Vec::new();
        honour(file, |stop| {
            stops.push(stop.scope);
            Ok(())
        })
        .unwrap();
        stops
    };
    assert_eq!(stopped(&file), [StopScope::Everything]);
    assert!(stopped(&file).is_empty());
    fs::create_dir(&file).unwrap();
    pull(&file, &stop(StopScope::Everything)).unwrap();
    assert!(file.is_file());
    assert_eq!(stopped(&file), [StopScope::Everything]);
}

#[test]
fn stops_are_kept_until_each_is_lifted() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("STOP");
    let agent = StopScope::Agent(AgentName::parse("dev").unwrap());
    assert!(pulled(&file).is_empty());
    pull(&file, &stop(StopScope::Everything)).unwrap();
    pull(&file, &stop(agent.clone())).unwrap();
    assert_eq!(
        pulled(&file),
        [stop(StopScope::Everything), stop(agent.clone())]
    );
    assert!(lift(&file, &StopScope::Everything).unwrap());
    assert!(!lift(&file, &StopScope::Everything).unwrap());
    assert_eq!(pulled(&file), [stop(agent.clone())]);
    assert!(lift(&file, &agent).unwrap());
    assert!(!file.exists());
}

#[test]
fn a_stop_that_is_laid_while_the_file_is_honoured_is_kept_for_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("STOP");
    let agent = StopScope::Agent(AgentName::parse("dev").unwrap());
    pull(&file, &stop(StopScope::Everything)).unwrap();
    let mut put = Vec::new();
    honour(&file, |honoured| {
        pull(&file, &stop(agent.clone())).unwrap();
        put.push(honoured);
        Ok(())
    })
    .unwrap();
    assert_eq!(put, [stop(StopScope::Everything)]);
    assert_eq!(pulled(&file), [stop(agent)]);
}

#[test]
fn a_stop_that_is_half_laid_when_the_file_is_honoured_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("STOP");
    let (mut laying, _) = held(&file, OpenOptions::new().append(true).create(true)).unwrap();
    thread::scope(|threads| {
        let honouring = threads.spawn(|| {
            let mut put = Vec::new();
            // However slow this machine is.
            honour_within(&file, Duration::from_secs(60), |stop| {
                put.push(stop);
                Ok(())
            })
            .unwrap();
            put
        });
        while file.exists() {
            thread::yield_now();
        }
        let agent = StopScope::Agent(AgentName::parse("dev").unwrap());
        let mut line = serde_json::to_vec(&stop(agent.clone())).unwrap();
        line.push(b'\n');
        laying.write_all(&line).unwrap();
        drop(laying);
        assert_eq!(honouring.join().unwrap(), [stop(agent)]);
    });
    assert!(pulled(&file).is_empty());
}

#[test]
fn a_stop_that_is_laid_out_of_turn_while_another_is_lifted_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("STOP");
    let all = stop(StopScope::Everything);
    pull(&file, &all).unwrap();
    let (lifting, _) = held(&file, OpenOptions::new().read(true)).unwrap();
    let late = stop(StopScope::Agent(AgentName::parse("dev").unwrap()));
    pull(&file, &late).unwrap();
    let before = std::slice::from_ref(&all);
    for rest in [&[][..], before] {
        let lifted = replace(&file, Some(&lifting), before, rest);
        assert_eq!(lifted.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
    assert_eq!(pulled(&file), [all, late.clone()]);
    // Set aside meanwhile, and laid anew.
    fs::rename(&file, aside(&file)).unwrap();
    pull(&file, &late).unwrap();
    let lifted = replace(&file, Some(&lifting), std::slice::from_ref(&late), &[]);
    assert_eq!(lifted.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(stops_in(&file), [late]);
}

#[test]
fn who_holds_the_file_for_ever_keeps_no_stop_from_being_laid_and_honoured() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("STOP");
    pull(&file, &stop(StopScope::Everything)).unwrap();
    let forever = held(&file, OpenOptions::new().read(true)).unwrap();
    let agent = StopScope::Agent(AgentName::parse("dev").unwrap());
    pull(&file, &stop(agent.clone())).unwrap();
    // Who lifts one would write the others anew, and lose what is being laid.
    let lifted = lift(&file, &StopScope::Everything);
    assert_eq!(lifted.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let mut put = Vec::new();
    honour(&file, |stop| {
        put.push(stop);
        Ok(())
    })
    .unwrap();
    assert_eq!(put, [stop(StopScope::Everything), stop(agent)]);
    assert!(pulled(&file).is_empty());
    drop(forever);
}

#[test]
fn what_a_start_died_with_is_honoured_by_the_next_beside_what_came_later() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("STOP");
    let agent = StopScope::Agent(AgentName::parse("dev").unwrap());
    pull(&file, &stop(StopScope::Everything)).unwrap();
    honour(&file, |_| Err(Fault::new("killed"))).unwrap_err();
    assert!(!file.exists());
    pull(&file, &stop(agent.clone())).unwrap();
    let both = [stop(StopScope::Everything), stop(agent.clone())];
    assert_eq!(pulled(&file), both);
    let mut put = Vec::new();
    honour(&file, |stop| {
        put.push(stop);
        Ok(())
    })
    .unwrap();
    assert_eq!(put, both);
    assert!(pulled(&file).is_empty());

    // A person can lift it as well.
    pull(&file, &stop(agent.clone())).unwrap();
    honour(&file, |_| Err(Fault::new("killed"))).unwrap_err();
    assert!(lift(&file, &agent).unwrap());
    assert!(pulled(&file).is_empty());
}

#[test]
fn a_file_that_says_nothing_or_nonsense_stops_everything() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("STOP");
    for text in ["", "\n", "please stop", "{\"scope\":\"some", "\u{0}"] {
        fs::write(&file, text).unwrap();
        let stops = pulled(&file);
        assert_eq!(stops.len(), 1, "{text:?}");
        assert!(stops.iter().all(|stop| stop.scope == StopScope::Everything));
    }
    fs::write(&file, b"\xff\xfe").unwrap();
    assert_eq!(pulled(&file).len(), 1);
    assert!(lift(&file, &StopScope::Everything).unwrap());
    assert!(pulled(&file).is_empty());
}
