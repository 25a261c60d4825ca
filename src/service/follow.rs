//! What a follower of the record is told next.

use std::time::Duration;

use tokio::sync::watch;

use crate::{
    control::{Refused, RefusedCode},
    ports::{Page, Query},
};

/// How long a follower waits for a record before it is told that there is none.
const NEXT_RECORD: Duration = Duration::from_secs(5);

/// The next page, as soon as there is a record that matches, or when it is time to say
/// that the daemon is still there. `news` is how far records are written.
pub(super) async fn next<F>(
    mut query: Query,
    mut news: watch::Receiver<u64>,
    read: impl Fn(Query) -> F,
) -> Result<Page, Refused>
where
    F: Future<Output = Result<Page, Refused>>,
{
    let patience = tokio::time::sleep(NEXT_RECORD);
    tokio::pin!(patience);
    loop {
        // Read before the records are: nothing up to it can be missed.
        let upto = *news.borrow_and_update();
        let first = query.after.is_none();
        // It looks no further than where its first part began.
        let is_resumed = query.sought.is_some();
        if query.after.is_none_or(|after| after < upto) {
            let page = read(query.clone()).await?;
            let reached = match page.more || is_resumed {
                true => page.upto,
                // Also what is in blocks that it need not look into.
                false => page.upto.max(upto),
            };
            if first || page.more || !page.lines.is_empty() {
                return Ok(Page {
                    upto: reached,
                    ..page
                });
            }
            query.go_on(reached, None);
            if reached < upto {
                // What was written during the search is no news any more, and not seen.
                continue;
            }
        }
        tokio::select! {
            changed = news.changed() => if changed.is_err() {
                return Err(Refused::new(RefusedCode::Unavailable, "the store is closed"));
            },
            () = &mut patience => return Ok(Page {
                upto,
                ..Page::default()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Mutex};

    use super::*;
    use crate::ports::Sought;

    /// A search that was begun at record 5 and has found what it looks for.
    const OVER: Sought = Sought {
        before: 0,
        found: 2,
        first: Some(3),
        last: 5,
    };

    fn page(upto: u64, lines: &[&str]) -> Page {
        Page {
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            upto,
            ..Page::default()
        }
    }

    /// Asks for what is next until there is no further page: where each look began, and
    /// what was told.
    async fn told_of(
        mut query: Query,
        written: u64,
        pages: Vec<Page>,
    ) -> (Vec<Option<u64>>, Vec<(u64, Vec<String>)>) {
        let news = watch::Sender::new(written);
        let (asked, pages) = (Mutex::default(), Mutex::new(VecDeque::from(pages)));
        let mut told = Vec::new();
        for _ in 0..3 {
            if pages.lock().unwrap().is_empty() {
                break;
            }
            let read = async |query: Query| {
                let asked: &Mutex<Vec<Option<u64>>> = &asked;
                asked.lock().unwrap().push(query.after);
                Ok(pages.lock().unwrap().pop_front().unwrap())
            };
            let page = next(query.clone(), news.subscribe(), read).await.unwrap();
            told.push((page.upto, page.lines));
            query.go_on(page.upto, page.sought);
        }
        (asked.into_inner().unwrap(), told)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_during_a_search_comes_after_what_the_search_finds() {
        let query = Query {
            limit: Some(2),
            after: Some(2),
            sought: Some(OVER),
            ..Query::default()
        };
        let pages = vec![page(5, &["4", "5"]), page(9, &["6", "9"])];
        let (asked, told) = told_of(query, 9, pages).await;
        assert_eq!(asked, [Some(2), Some(5)]);
        let lines: Vec<String> = told.into_iter().flat_map(|(_, lines)| lines).collect();
        assert_eq!(lines, ["4", "5", "6", "9"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_search_whose_end_is_empty_keeps_nothing_from_who_follows() {
        // What was found was pruned before it was read.
        let query = Query {
            limit: Some(2),
            after: Some(2),
            sought: Some(OVER),
            ..Query::default()
        };
        let pages = vec![page(5, &[]), page(9, &["6", "9"])];
        let (asked, told) = told_of(query, 9, pages).await;
        assert_eq!(asked, [Some(2), Some(5)]);
        assert_eq!(told, [(9, vec!["6".to_owned(), "9".to_owned()])]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_told_nothing_is_told_how_far_that_goes() {
        let query = Query {
            after: Some(2),
            ..Query::default()
        };
        // Nothing of it matches, and then nothing comes.
        let (asked, told) = told_of(query, 9, vec![page(5, &[])]).await;
        assert_eq!(asked, [Some(2)]);
        assert_eq!(told, [(9, Vec::new())]);
    }
}
