//! Agents that go in the middle of something.

use crate::support::home::Home;

/// How many agents the screen shows, once there are so many.
fn agents(home: &Home, count: usize) {
    let line = format!("agents: {count}\n");
    for _ in 0..500 {
        let told = home.tollgate().output().unwrap();
        if String::from_utf8(told.stdout).unwrap().contains(&line) {
            return;
        }
    }
    panic!("there are not {count} agents");
}

#[test]
fn who_is_killed_while_something_does_not_end_has_left_all_the_same() {
    let home = Home::new();
    // Until it was listed once, the lists are waited for.
    let mut slow = home.server("slow", "start wait");
    let _stays = home.beside("stays");
    slow.starts();
    let mut killed = [(); 12].map(|()| {
        let mut agent = home.beside("killed");
        agent.request("tools/list", "{}");
        let ping = agent.request("ping", "{}");
        agent.result(ping);
        agent
    });
    agents(&home, 13);
    for agent in &mut killed {
        agent.kill();
        agent.is_gone();
    }
    agents(&home, 1);
}
