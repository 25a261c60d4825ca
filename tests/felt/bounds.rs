//! What one side sends holds up nobody and is not kept, however much of it there is and
//! whether or not the other side does its part.

use crate::support::home::Home;
use crate::support::raw::member;

#[test]
fn a_large_call_of_the_stateless_era_is_read_where_nobody_waits_for_it() {
    let home = Home::new();
    let _alpha = home.server("alpha", "call w: text done");
    let mut agent = home.modern();
    agent.until_listed(&["alpha__w"]);
    let values = "0,".repeat(999_900);
    for (more, expected) in [
        ("", "done"),
        (
            r#","requestState":"none of ours""#,
            "`requestState` is not valid",
        ),
    ] {
        let params = format!(r#"{{"name":"alpha__w","arguments":{{"c":[{values}0]}}{more}}}"#);
        let large = agent.request("tools/call", &params);
        // What else is asked is answered meanwhile, again and again.
        let mut meanwhile = 0;
        let answer = loop {
            let discover = agent.request("server/discover", "{}");
            agent.result(discover);
            let others = agent.others();
            let is_it = |line: &&String| member(line, "id") == Some(large.to_string());
            if let Some(answer) = others.iter().find(is_it) {
                break answer.clone();
            }
            meanwhile += 1;
        };
        assert!(answer.contains(expected), "{answer}");
        assert!(meanwhile > 10, "{meanwhile} answers meanwhile");
    }
}
