use std::pin::pin;

use super::*;
use crate::ports::stand_in::StandIn;

fn call(connection: u64) -> Open {
    Open {
        caller: Arc::new(StandIn {
            connection,
            ..StandIn::default()
        }),
        clock: Arc::new(Clock::new(Instant::now())),
    }
}

async fn asking(lane: &Lane) -> Option<Asking<'_>> {
    match lane.question().await {
        Owner::Call(asking) => Some(asking),
        Owner::NoCall | Owner::Unknown => None,
    }
}

/// Whether it is ready without anything else happening.
async fn at_once<F: Future>(future: F) -> Option<F::Output> {
    tokio::time::timeout(Duration::ZERO, future).await.ok()
}

#[tokio::test(start_paused = true)]
async fn calls_run_side_by_side_until_the_server_asks() {
    let lane = Lane::default();
    let first = lane.enter(1, call(1)).await;
    let second = at_once(lane.enter(2, call(2))).await;
    assert!(second.is_some());
    drop((first, second));
    let third = lane.enter(3, call(1)).await;
    drop(asking(&lane).await);
    assert!(at_once(lane.enter(4, call(1))).await.is_none());
    drop(third);
    assert!(at_once(lane.enter(4, call(1))).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_its_user_lets_the_same_user_go_on_and_nobody_else() {
    let lane = Lane::default();
    let _parked = lane.enter(1, call(1)).await;
    let _question = asking(&lane).await.unwrap();
    assert!(at_once(lane.enter(2, call(2))).await.is_none());
    assert!(at_once(lane.enter(3, call(1))).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_another_user_keeps_up_none_of_their_calls() {
    let lane = Lane::default();
    let parked = lane.enter(1, call(1)).await;
    let question = asking(&lane).await.unwrap();
    let mut others = pin!(lane.enter(2, call(2)));
    assert!(at_once(others.as_mut()).await.is_none());
    let beside = at_once(lane.enter(3, call(1))).await;
    assert!(beside.is_some());
    drop(beside);
    drop(question);
    drop(parked);
    assert!(at_once(others).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_another_user_waits_for_the_calls_that_were_there_and_no_others() {
    let lane = Lane::default();
    let there = lane.enter(1, call(1)).await;
    let question = asking(&lane).await.unwrap();
    let mut others = pin!(lane.enter(2, call(2)));
    assert!(at_once(others.as_mut()).await.is_none());
    // It asks as well, before the first is over.
    let beside = at_once(lane.enter(3, call(1))).await.unwrap();
    let again = asking(&lane).await.unwrap();
    drop((question, there));
    let mut late = pin!(lane.enter(4, call(1)));
    assert!(at_once(late.as_mut()).await.is_none());
    drop((again, beside));
    assert!(at_once(late.as_mut()).await.is_none());
    let others = at_once(others).await;
    assert!(others.is_some());
    drop(others);
    assert!(at_once(late).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn who_waits_enters_in_the_order_of_arrival() {
    let lane = Lane::default();
    let parked = lane.enter(1, call(1)).await;
    drop(asking(&lane).await);
    let mut second = pin!(lane.enter(2, call(2)));
    let mut given_up = Box::pin(lane.enter(3, call(3)));
    let mut fourth = pin!(lane.enter(4, call(4)));
    assert!(at_once(second.as_mut()).await.is_none());
    assert!(at_once(given_up.as_mut()).await.is_none());
    assert!(at_once(fourth.as_mut()).await.is_none());
    drop(parked);
    assert!(at_once(fourth.as_mut()).await.is_none());
    drop(at_once(second).await.unwrap());
    drop(given_up);
    assert!(at_once(fourth).await.is_some());
    assert!(lock(&lane.calls).waiting.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_question_belongs_to_the_call_that_runs() {
    let lane = Lane::default();
    let _parked = lane.enter(1, call(1)).await;
    let first = asking(&lane).await.unwrap();
    let again = asking(&lane).await.unwrap();
    let _running = lane.enter(2, call(1)).await;
    let second = asking(&lane).await.unwrap();
    assert_eq!((first.id, again.id, second.id), (1, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn an_answered_call_waits_for_the_one_that_runs_and_goes_before_new_ones() {
    let lane = Lane::default();
    let _parked = lane.enter(1, call(1)).await;
    let question = asking(&lane).await.unwrap();
    let running = lane.enter(2, call(1)).await;
    let mut turn = pin!(question.turn());
    assert!(at_once(turn.as_mut()).await.is_none());
    drop(running);
    assert!(at_once(lane.enter(3, call(1))).await.is_none());
    assert!(at_once(turn).await.is_some());
    // It runs again: its next question is its own.
    assert_eq!(asking(&lane).await.unwrap().id, 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_from_no_call_whose_question_it_may_have_been() {
    let lane = Lane::default();
    let slow = lane.enter(1, call(1)).await;
    let _asks = lane.enter(2, call(1)).await;
    let question = asking(&lane).await.unwrap();
    // Given to the first, and the time of neither goes on.
    assert_eq!((question.id, question.clocks.len()), (1, 2));
    drop(slow);
    assert!(at_once(question.turn()).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_a_moment_for_a_call_that_may_wait_for_it_in_turn() {
    let lane = Lane::default();
    let _parked = lane.enter(1, call(1)).await;
    let question = asking(&lane).await.unwrap();
    assert_eq!(question.clocks.len(), 1);
    let _behind = lane.enter(2, call(1)).await;
    let mut turn = pin!(question.turn());
    assert!(at_once(turn.as_mut()).await.is_none());
    let waited = tokio::time::timeout(2 * GRACE, turn).await;
    assert!(waited.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_question_waits_while_it_could_concern_two_users() {
    let lane = Lane::default();
    let _one = lane.enter(1, call(1)).await;
    let other = lane.enter(2, call(2)).await;
    let mut question = pin!(asking(&lane));
    let waited = tokio::time::timeout(Duration::from_secs(60), question.as_mut()).await;
    assert!(waited.is_err());
    drop(other);
    assert_eq!(question.await.unwrap().id, 1);
}

#[tokio::test(start_paused = true)]
async fn what_may_be_about_a_call_that_was_given_up_is_asked_of_nobody_else() {
    let lane = Lane::default();
    lane.enter(1, call(1)).await.given_up();
    // Nor of who gave it up: it is over.
    assert!(matches!(lane.question().await, Owner::Unknown));
    let other = lane.enter(2, call(2)).await;
    assert!(matches!(lane.question().await, Owner::Unknown));
    lane.answered(1);
    assert_eq!(asking(&lane).await.unwrap().id, 2);
    drop(other);
    lane.enter(3, call(1)).await.given_up();
    let _other = lane.enter(4, call(2)).await;
    assert!(matches!(lane.question().await, Owner::Unknown));
    tokio::time::advance(GIVEN_UP).await;
    assert_eq!(asking(&lane).await.unwrap().id, 4);
}
