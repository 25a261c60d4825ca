//! The journal against everything that disks, kills and power cuts do to it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]
#![allow(
    unreachable_pub,
    dead_code,
    reason = "the simulated disk serves several test programs"
)]

mod simdisk;

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use simdisk::{Dice, SimDisk, Step};
use tollgate::store::journal::{
    Entry, Journal, Loss, Opened, Options, Pace, Placed, PutError, RealDisk, Refused, Seq, Why,
    verify,
};

const STATE: &str = "/state";
const LONG: Duration = Duration::from_secs(3600);

fn options(disk: &SimDisk, segment_bytes: u64) -> Options {
    Options {
        disk: Arc::new(disk.clone()),
        segment_bytes,
        pace: Pace::Inline,
        ..Options::new(Timestamp::UNIX_EPOCH)
    }
}

/// Opens, and returns the members of every record (with the kind, for those of a cut).
fn open(options: Options) -> Result<(Journal, Opened, Vec<String>), Refused> {
    open_in(Path::new(STATE), options)
}

fn open_in(state: &Path, options: Options) -> Result<(Journal, Opened, Vec<String>), Refused> {
    let mut seen = Vec::new();
    let (journal, opened) = Journal::open(state, options, &mut |record, _| {
        seen.push(match record.kind {
            "test" => record.members.to_owned(),
            other => other.to_owned(),
        });
        Ok(())
    })?;
    Ok((journal, opened, seen))
}

fn entry(members: &str, durable: bool) -> Entry<'_> {
    Entry {
        at: Timestamp::UNIX_EPOCH,
        kind: "test",
        members,
        durable,
        keep: 0,
    }
}

fn put(journal: &Journal, members: &str) -> Placed {
    journal.put(&entry(members, false)).unwrap()
}

fn members(n: usize, length: usize) -> String {
    format!(r#""n":{n},"pad":"{}""#, "x".repeat(length))
}

/// A journal of `count` records of about 300 bytes, closed in order.
fn closed(disk: &SimDisk, count: usize, segment_bytes: u64) -> Vec<String> {
    let (journal, ..) = open(options(disk, segment_bytes)).unwrap();
    let truth: Vec<String> = (0..count).map(|n| members(n, n % 97)).collect();
    for (n, members) in truth.iter().enumerate() {
        let placed = put(&journal, members);
        journal.write(placed.seq).unwrap();
        if n % 5 == 0 {
            journal.sync().unwrap();
        }
    }
    journal.close().unwrap();
    truth
}

fn damage(refused: Result<(Journal, Opened, Vec<String>), Refused>) -> (Seq, Why) {
    match refused {
        Err(Refused::Damaged { seq, why, .. }) => (seq, why),
        Err(other) => panic!("refused for another reason: {other}"),
        Ok((_, opened, _)) => panic!("opened: {opened:?}"),
    }
}

#[test]
fn what_was_put_is_replayed_across_segments() {
    let disk = SimDisk::new();
    let truth = closed(&disk, 100, 4096);
    assert!(disk.segments().len() > 5);
    let (journal, opened, seen) = open(options(&disk, 4096)).unwrap();
    assert_eq!(seen, truth);
    assert_eq!(opened.tail_cut, None);
    assert_eq!(journal.verify().unwrap().last, Seq::new(100));
}

#[test]
fn an_anchor_spares_what_lies_before_it() {
    let disk = SimDisk::new();
    closed(&disk, 100, 4096);
    let mut anchor = None;
    let (journal, ..) = open(options(&disk, 4096)).unwrap();
    journal
        .read(Seq::new(60), &mut |record, place| {
            anchor = Some(Placed {
                seq: record.seq,
                place,
                hash: record.hash,
            });
            ControlFlow::Break(())
        })
        .unwrap();
    drop(journal);
    let from_anchor = |anchor| Options {
        anchor,
        replay_from: Seq::new(61),
        ..options(&disk, 4096)
    };
    let (journal, opened, seen) = open(from_anchor(anchor)).unwrap();
    assert_eq!((opened.records, seen.len()), (41, 40));
    drop(journal);

    // An anchor that doesn't fit costs a whole read, no more.
    let wrong = anchor.map(|anchor| Placed {
        seq: Seq::new(59),
        ..anchor
    });
    let (_, opened, seen) = open(from_anchor(wrong)).unwrap();
    assert_eq!((opened.records, seen.len()), (100, 40));
}

#[test]
fn a_journal_behind_its_state_is_refused() {
    let disk = SimDisk::new();
    closed(&disk, 10, 4096);
    let refused = open(Options {
        known: Seq::new(11),
        ..options(&disk, 4096)
    });
    assert_eq!(damage(refused), (Seq::new(11), Why::Missing));
    let gone = open(Options {
        known: Seq::new(11),
        ..options(&SimDisk::new(), 4096)
    });
    assert_eq!(
        damage(gone),
        (Seq::new(1), Why::Missing),
        "no journal at all"
    );
}

#[test]
fn a_synced_journal_cut_at_any_byte_of_its_last_4_kib_is_refused() {
    let disk = SimDisk::new();
    closed(&disk, 40, 64 << 10);
    let path = disk.segments().pop().unwrap();
    let whole = disk.content(&path);
    for length in whole.len() - 4096..whole.len() {
        let cut = disk.kill();
        cut.tamper(&path, |content| content.truncate(length));
        let (seq, why) = damage(open(options(&cut, 64 << 10)));
        let lines = whole[..length].iter().filter(|b| **b == b'\n').count();
        assert_eq!(seq, Seq::new(lines as u64 + 1), "cut at {length}");
        let at_line_end = whole[length - 1] == b'\n';
        assert_eq!(why == Why::Missing, at_line_end, "cut at {length}: {why}");
    }
}

#[test]
fn an_unsynced_tail_cut_at_any_byte_of_its_last_4_kib_loses_only_what_is_not_whole() {
    let disk = SimDisk::new();
    let truth = closed(&disk, 10, 64 << 10);
    let (journal, _, mut truth) = (open(options(&disk, 64 << 10)).unwrap().0, (), truth);
    for n in 10..30 {
        let members = members(n, n * 3);
        journal.write(put(&journal, &members).seq).unwrap();
        truth.push(members);
    }
    let disk = disk.kill();
    let path = disk.segments().pop().unwrap();
    let whole = disk.content(&path);
    for length in whole.len() - 4096..=whole.len() {
        let cut = disk.kill();
        cut.tamper(&path, |content| content.truncate(length));
        let (journal, opened, mut seen) = open(options(&cut, 64 << 10)).unwrap();
        let whole_lines = whole[..length].iter().filter(|b| **b == b'\n').count();
        let torn = whole[length - 1] != b'\n';
        assert_eq!(opened.tail_cut.is_some(), torn, "cut at {length}");
        if torn {
            assert_eq!(seen.pop().unwrap(), "tail_cut");
        }
        assert_eq!(seen, truth[..whole_lines], "cut at {length}");
        // And it goes on: the next start sees a whole chain.
        journal.write(put(&journal, "").seq).unwrap();
        drop(journal);
        let (journal, opened, again) = open(options(&cut.kill(), 64 << 10)).unwrap();
        assert_eq!(opened.tail_cut, None);
        assert_eq!(again.len(), whole_lines + usize::from(torn) + 1);
        assert_eq!(journal.verify().unwrap().broken, None);
    }
}

#[test]
fn any_flipped_bit_in_what_was_synced_is_refused() {
    let disk = SimDisk::new();
    closed(&disk, 30, 2048);
    let mut dice = Dice(1);
    for path in disk.segments() {
        for at in 0..disk.content(&path).len() {
            if !dice.one_in(5) {
                continue;
            }
            let bad = disk.kill();
            bad.tamper(&path, |content| content[at] ^= 1 << dice.below(8));
            damage(open(options(&bad, 2048)));
            let found = verify(&bad, Path::new(STATE), None)
                .unwrap()
                .broken
                .unwrap();
            assert!(!found.tail && path.ends_with(&found.file), "{found}");
        }
    }
}

#[test]
fn zeroed_stretches_and_missing_segments_are_refused() {
    let disk = SimDisk::new();
    closed(&disk, 60, 2048);
    for path in disk.segments() {
        let bad = disk.kill();
        bad.vanish(&path);
        damage(open(options(&bad, 2048)));
        for at in (0..disk.content(&path).len()).step_by(512) {
            let bad = disk.kill();
            bad.tamper(&path, |content| {
                let end = content.len().min(at + 512);
                content[at..end].fill(0);
            });
            damage(open(options(&bad, 2048)));
        }
    }
}

/// With both head slots gone, only the marks in later records are left to go by.
#[test]
fn without_a_head_slot_the_marks_behind_the_damage_decide() {
    let disk = SimDisk::new();
    let count = 40;
    closed(&disk, count, 64 << 10);
    disk.tamper(&Path::new(STATE).join("journal/head"), |head| {
        head[4096..].fill(0);
    });
    let path = disk.segments().pop().unwrap();
    let content = String::from_utf8(disk.content(&path)).unwrap();
    let marks: Vec<usize> = content
        .lines()
        .map(|line| {
            let json: serde_json::Value = serde_json::from_str(line).unwrap();
            json["mark"].as_u64().unwrap() as usize
        })
        .collect();
    let mut at = 0;
    let (mut refused, mut cut) = (0, 0);
    for (n, line) in content.lines().enumerate() {
        let bad = disk.kill();
        bad.tamper(&path, |content| content[at + line.len() / 2] ^= 4);
        at += line.len() + 1;
        let known = marks[n + 1..].last().copied().unwrap_or(0);
        let opened = open(options(&bad, 64 << 10));
        if n < known {
            assert_eq!(damage(opened).0, Seq::new(n as u64 + 1));
            refused += 1;
        } else {
            assert_eq!(
                opened.unwrap().2.len(),
                n + 1,
                "{n} and the record of the cut"
            );
            cut += 1;
        }
    }
    assert!(refused > 30 && cut > 3, "{refused} {cut}");
}

/// Lives that end by kill or power cut at any step, also during recovery, and what the
/// next life must find.
#[test]
fn thousands_of_ends_are_decided_rightly() {
    let rounds = std::env::var("JOURNAL_SEEDS").map_or(4000, |n| n.parse().unwrap());
    let only = std::env::var("JOURNAL_SEED")
        .ok()
        .map(|n| n.parse().unwrap());
    let mut tally = Tally::default();
    for seed in only.map_or(0..rounds, |seed: u64| seed..seed + 1) {
        let result = std::panic::catch_unwind(|| {
            let mut tally = Tally::default();
            Lives::new(seed).run(&mut tally);
            tally
        });
        match result {
            Ok(one) => tally.add(&one),
            Err(_) => panic!("replay with JOURNAL_SEED={seed}"),
        }
    }
    println!("{tally:?}");
    if only.is_none() {
        assert!(tally.cuts > rounds / 4 && tally.ends > rounds && tally.early > rounds / 10);
    }
}

#[derive(Debug, Default)]
struct Tally {
    ends: u64,
    power: u64,
    cuts: u64,
    /// Ends while the journal was being opened.
    early: u64,
    refusals: u64,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.ends += other.ends;
        self.power += other.power;
        self.cuts += other.cuts;
        self.early += other.early;
        self.refusals += other.refusals;
    }
}

struct Lives {
    dice: Dice,
    disk: SimDisk,
    segment_bytes: u64,
    /// The members of every record that was put and not rightly lost.
    truth: Vec<String>,
    /// How many of them survive a kill, and a power cut.
    written: usize,
    synced: usize,
    failed_starts: usize,
    number: usize,
}

impl Lives {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        Self {
            segment_bytes: 1024 + dice.below(8) as u64 * 1024,
            dice,
            disk: SimDisk::new(),
            truth: Vec::new(),
            written: 0,
            synced: 0,
            failed_starts: 0,
            number: 0,
        }
    }

    fn run(mut self, tally: &mut Tally) {
        for _ in 0..1 + self.dice.below(5) {
            if self.dice.one_in(2) {
                self.disk.set_fuse(self.dice.below(60) as u64);
            }
            self.live(tally);
            tally.ends += 1;
            self.disk = if self.dice.one_in(3) {
                self.disk.kill()
            } else {
                tally.power += 1;
                self.written = self.synced;
                self.disk.power_cut(&mut self.dice)
            };
        }
        self.live(tally);
        // Closed in order, everything is synced: any damage to it is refused.
        let disk = self.disk.kill();
        let (journal, ..) = open(options(&disk, self.segment_bytes)).unwrap();
        journal.close().unwrap();
        if let Some(path) = disk.segments().get(self.dice.below(disk.segments().len())) {
            let length = disk.content(path).len();
            let at = self.dice.below(length);
            let zero = self.dice.one_in(2);
            disk.tamper(path, |content| match zero {
                true => content[at..length.min(at + 512)].fill(0),
                false => content[at] ^= 0x10,
            });
            damage(open(options(&disk, self.segment_bytes)));
            tally.refusals += 1;
        }
    }

    fn live(&mut self, tally: &mut Tally) {
        let (journal, opened, seen) = match open(options(&self.disk, self.segment_bytes)) {
            Ok(opened) => opened,
            Err(refused) => {
                assert!(self.disk.blown(), "refused: {refused}");
                tally.early += 1;
                self.failed_starts += 1;
                return;
            }
        };
        let kept = seen.len() - usize::from(opened.tail_cut.is_some());
        tally.cuts += u64::from(opened.tail_cut.is_some());
        let same = seen.iter().zip(&self.truth).take_while(|(a, b)| a == b);
        let same = same.count().min(kept);
        assert!(same >= self.written.max(self.synced), "{same} of {self:?}");
        // A start that was cut short may have left the record of its cut.
        let more = &seen[same..kept];
        assert!(more.len() <= self.failed_starts, "{} too many", more.len());
        assert!(
            more.iter().all(|kind| kind == "tail_cut"),
            "not what was put"
        );
        self.failed_starts = 0;
        self.truth = seen;
        self.written = self.truth.len();
        self.synced = self.truth.len();
        if !self.disk.blown() {
            assert_eq!(journal.verify().unwrap().broken, None);
        }
        let ok = self.work(&journal).is_ok();
        if ok && self.dice.one_in(3) && journal.close().is_ok() {
            self.written = self.truth.len();
            self.synced = self.truth.len();
        }
    }

    fn work(&mut self, journal: &Journal) -> Result<(), Box<dyn std::error::Error>> {
        for _ in 0..self.dice.below(40) {
            match self.dice.below(4) {
                0 => {
                    journal.sync()?;
                    self.synced = self.written;
                }
                1 => {
                    journal.write(journal.last())?;
                    self.written = self.truth.len();
                }
                _ => {
                    self.number += 1;
                    let members = members(self.number, self.dice.below(900));
                    journal.put(&entry(&members, false))?;
                    self.truth.push(members);
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Lives {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} put, {} written, {} synced",
            self.truth.len(),
            self.written,
            self.synced
        )
    }
}

#[test]
fn a_forged_line_within_arguments_is_not_taken_for_a_record() {
    let disk = SimDisk::new();
    closed(&disk, 5, 64 << 10);
    let path = disk.segments().pop().unwrap();
    let genuine = String::from_utf8(disk.content(&path)).unwrap();
    let forged = genuine.lines().last().unwrap();
    let forged = forged.replace(r#""seq":5"#, r#""seq":999"#);
    let forged = forged.replace(r#""mark":1"#, r#""mark":998"#);

    let (journal, ..) = open(options(&disk, 64 << 10)).unwrap();
    let spliced = format!("\"arguments\":[\n{genuine}{forged}\n]").replace("}\n{", "},\n{");
    journal.write(put(&journal, &spliced).seq).unwrap();
    drop(journal);
    let disk = disk.kill();
    let (journal, _, seen) = open(options(&disk, 64 << 10)).unwrap();
    assert_eq!(seen.len(), 6);
    drop(journal);

    // Even at the start of a line, as garbled sectors might leave it, it proves nothing.
    let (journal, ..) = open(options(&disk, 64 << 10)).unwrap();
    journal.write(put(&journal, "").seq).unwrap();
    drop(journal);
    let disk = disk.kill();
    disk.tamper(&path, |content| {
        content.extend_from_slice(format!("garbage\n{forged}\n").as_bytes());
    });
    let (_, opened, _) = open(options(&disk, 64 << 10)).unwrap();
    assert_eq!(opened.tail_cut.unwrap().records, 0);
}

#[test]
fn a_failed_write_poisons_the_journal() {
    for (step, acts) in [(Step::Write, "write"), (Step::Sync, "sync")] {
        let disk = SimDisk::new();
        let (journal, ..) = open(options(&disk, 64 << 10)).unwrap();
        journal.synced(put(&journal, "").seq).wait().unwrap();
        disk.fail(step, 1, ErrorKind::Other);
        let placed = put(&journal, "");
        let poisoned = journal.synced(placed.seq).wait().unwrap_err();
        assert!(poisoned.to_string().contains(acts), "{poisoned}");

        let (writes, syncs) = (disk.count(Step::Write), disk.count(Step::Sync));
        assert_eq!(
            journal.put(&entry("", false)),
            Err(PutError::Poisoned(poisoned.clone()))
        );
        assert_eq!(journal.write(placed.seq), Err(poisoned.clone()));
        assert_eq!(journal.sync(), Err(poisoned.clone()));
        assert_eq!(journal.synced(placed.seq).wait(), Err(poisoned.clone()));
        assert_eq!(journal.close(), Err(poisoned));
        assert_eq!(disk.count(Step::Write), writes, "nothing is tried again");
        assert_eq!(disk.count(Step::Sync), syncs, "a sync is never tried again");
    }
}

#[test]
fn short_writes_are_completed() {
    let disk = SimDisk::new();
    disk.set_shortest(7);
    let truth = closed(&disk, 20, 2048);
    let (_, opened, seen) = open(options(&disk, 2048)).unwrap();
    assert_eq!((seen, opened.tail_cut), (truth, None));
}

#[test]
fn on_a_full_disk_new_calls_are_refused_and_outcomes_still_fit() {
    let disk = SimDisk::new();
    disk.set_room(2 * 4096);
    let (journal, ..) = open(options(&disk, 4096)).unwrap();
    let call = Entry {
        keep: 2000,
        ..entry("", false)
    };
    let mut calls = 0;
    loop {
        match journal.put(&call) {
            Ok(placed) => journal.write(placed.seq).unwrap(),
            Err(refused) => {
                assert_eq!(refused, PutError::NoRoom);
                break;
            }
        }
        calls += 1;
    }
    assert!(calls > 10, "{calls}");
    // 2,000 bytes were kept: seven outcomes and a stop of 250 bytes each.
    for _ in 0..7 {
        journal.write(put(&journal, "").seq).unwrap();
    }
    let stop = journal.put(&entry("", true)).unwrap();
    journal.synced(stop.seq).wait().unwrap();

    disk.set_room(4096);
    journal.make_room();
    let placed = journal.put(&call).unwrap();
    journal.write(placed.seq).unwrap();
    assert_eq!(journal.verify().unwrap().broken, None);
    drop(journal);
    disk.set_room(0);
    let full = SimDisk::new();
    full.set_room(0);
    assert!(matches!(open(options(&full, 4096)), Err(Refused::NoRoom)));
}

#[test]
fn a_record_that_is_too_long_is_refused_and_the_next_one_taken() {
    let disk = SimDisk::new();
    let (journal, ..) = open(options(&disk, 64 << 20)).unwrap();
    let long = format!(r#""pad":"{}""#, "x".repeat(1 << 20));
    assert!(matches!(
        journal.put(&entry(&long, false)),
        Err(PutError::TooLong { .. })
    ));
    let longest = format!(r#""pad":"{}""#, "x".repeat((1 << 20) - 1024 - 8));
    put(&journal, &longest);
    put(&journal, "");
    journal.close().unwrap();
    assert_eq!(open(options(&disk, 64 << 20)).unwrap().2.len(), 2);
}

#[test]
fn accepted_loss_goes_on_and_keeps_what_was_cut() {
    let disk = SimDisk::new();
    let truth = closed(&disk, 30, 2048);
    let path = disk.segments()[1].clone();
    disk.tamper(&path, |content| content[700] ^= 1);
    let (lost_at, _) = damage(open(options(&disk, 2048)));
    let accepting = Options {
        loss: Loss::Accept,
        ..options(&disk, 2048)
    };
    let (journal, opened, seen) = open(accepting).unwrap();
    let kept = lost_at.get() as usize - 1;
    assert_eq!(seen[..kept], truth[..kept]);
    assert_eq!(opened.tail_cut.unwrap().accepted, Some(Seq::new(30)));
    journal.close().unwrap();
    let lost: usize = disk
        .paths()
        .iter()
        .filter(|path| path.to_str().unwrap().contains(".lost-"))
        .map(|path| disk.content(path).iter().filter(|b| **b == b'\n').count())
        .sum();
    assert_eq!(lost, 30 - kept);
    // Nothing of it is in the way afterwards.
    let (journal, opened, _) = open(options(&disk, 2048)).unwrap();
    assert_eq!(opened.tail_cut, None);
    assert_eq!(journal.verify().unwrap().broken, None);
}

#[test]
fn a_key_that_is_missing_damaged_or_another_is_named_and_nothing_is_cut() {
    let key = Path::new(STATE).join("journal.key");
    let disk = SimDisk::new();
    closed(&disk, 10, 4096);
    let other = SimDisk::new();
    closed(&other, 1, 4096);

    let before = disk.content(&disk.segments()[0]);
    let missing = disk.kill();
    missing.vanish(&key);
    assert!(matches!(
        open(options(&missing, 4096)),
        Err(Refused::KeyMissing)
    ));
    let damaged = disk.kill();
    damaged.tamper(&key, |text| text[3] ^= 1);
    assert!(matches!(
        open(options(&damaged, 4096)),
        Err(Refused::KeyDamaged)
    ));
    let wrong = disk.kill();
    wrong.tamper(&key, |text| *text = other.content(&key));
    assert!(matches!(
        open(options(&wrong, 4096)),
        Err(Refused::KeyWrong)
    ));
    assert_eq!(wrong.content(&wrong.segments()[0]), before);
    let headless = disk.kill();
    headless.vanish(&Path::new(STATE).join("journal/head"));
    assert!(matches!(
        open(options(&headless, 4096)),
        Err(Refused::HeadMissing)
    ));
}

#[test]
fn an_exchanged_journal_of_the_same_length_is_refused() {
    let disk = SimDisk::new();
    closed(&disk, 10, 64 << 10);
    let earlier = disk.kill();
    for disk in [&disk, &earlier] {
        let (journal, ..) = open(options(disk, 64 << 10)).unwrap();
        put(
            &journal,
            if std::ptr::eq(disk, &earlier) {
                r#""a":1"#
            } else {
                r#""a":2"#
            },
        );
        journal.close().unwrap();
    }
    let path = disk.segments().pop().unwrap();
    disk.tamper(&path, |content| *content = earlier.content(&path));
    assert_eq!(damage(open(options(&disk, 64 << 10))).1, Why::Other);
    let found = verify(&disk, Path::new(STATE), None)
        .unwrap()
        .broken
        .unwrap();
    assert_eq!(
        (found.seq, found.line, found.why),
        (Seq::new(11), 11, Why::Other)
    );
}

#[test]
fn a_pruned_journal_still_verifies_and_a_segment_taken_by_hand_does_not() {
    let disk = SimDisk::new();
    closed(&disk, 100, 4096);
    let (journal, ..) = open(options(&disk, 4096)).unwrap();
    let before = disk.segments().len();
    let first = journal.prune(Seq::new(50)).unwrap();
    assert!(first <= Seq::new(50) && first > Seq::new(30), "{first}");
    assert!(disk.segments().len() < before);
    let report = journal.verify().unwrap();
    assert_eq!(
        (report.first, report.last, report.broken),
        (first, Seq::new(100), None)
    );
    assert_eq!(
        journal.prune(Seq::new(50)).unwrap(),
        first,
        "once is enough"
    );
    // Nothing is pruned that isn't synced.
    put(&journal, "");
    assert!(journal.prune(Seq::new(1000)).unwrap() <= Seq::new(100));
    journal.close().unwrap();

    let (journal, opened, _) = open(options(&disk, 4096)).unwrap();
    assert_eq!(opened.last, Seq::new(101));
    drop(journal);
    let bad = disk.kill();
    bad.vanish(&bad.segments()[0]);
    damage(open(options(&bad, 4096)));
}

#[test]
fn pruning_that_is_interrupted_anywhere_is_finished_or_never_was() {
    for steps in 0..20 {
        for seed in 0..10 {
            let disk = SimDisk::new();
            closed(&disk, 60, 2048);
            let (journal, ..) = open(options(&disk, 2048)).unwrap();
            disk.set_fuse(steps);
            let _ = journal.prune(Seq::new(40));
            drop(journal);
            let disk = disk.power_cut(&mut Dice(seed));
            let (journal, opened, _) = open(options(&disk, 2048)).unwrap();
            assert_eq!(opened.last, Seq::new(60));
            assert_eq!(journal.verify().unwrap().broken, None);
        }
    }
}

#[test]
fn bodies_survive_a_power_cut_and_are_found_damaged() {
    let disk = SimDisk::new();
    let (journal, ..) = open(options(&disk, 4096)).unwrap();
    let bodies = journal.bodies().unwrap();
    let name = bodies.keep(b"secret").unwrap();
    assert_eq!(bodies.keep(b"secret").unwrap(), name);
    drop(journal);
    for seed in 0..20 {
        let disk = disk.power_cut(&mut Dice(seed));
        let (journal, ..) = open(options(&disk, 4096)).unwrap();
        let bodies = journal.bodies().unwrap();
        assert_eq!(bodies.list().unwrap(), [name]);
        assert_eq!(bodies.read(&name).unwrap(), b"secret");
        let path = Path::new(STATE).join(format!("bodies/{name}"));
        disk.tamper(&path, |content| content[0] ^= 1);
        assert!(bodies.read(&name).is_err());
        bodies.forget(&name).unwrap();
        assert!(bodies.list().unwrap().is_empty());
    }
    disk.fail(Step::Write, 1, ErrorKind::StorageFull);
    assert!(bodies.keep(b"another").is_err());
    let left = disk.paths();
    assert!(
        left.iter()
            .all(|path| path.extension().is_none_or(|e| e != "draft"))
    );
}

fn threaded(disk: &SimDisk, interval: Duration) -> Options {
    Options {
        pace: Pace::Thread(interval),
        ..options(disk, 64 << 10)
    }
}

#[test]
fn a_record_nobody_waits_for_is_synced_all_the_same() {
    let disk = SimDisk::new();
    let (journal, ..) = open(threaded(&disk, Duration::from_millis(5))).unwrap();
    disk.wait_for(Step::Create, 4);
    let syncs = disk.count(Step::Sync);
    journal.write(put(&journal, "").seq).unwrap();
    disk.wait_for(Step::Sync, syncs + 1);
}

#[test]
fn waiters_share_a_sync_and_a_held_sync_holds_up_no_writes() {
    let disk = SimDisk::new();
    let (journal, ..) = open(threaded(&disk, LONG)).unwrap();
    // The key, the head, two segments: after that only the journal itself is synced.
    disk.wait_for(Step::SyncDir, 7);
    let syncs = disk.count(Step::Sync);
    disk.hold_syncs(true);
    let waits: Vec<_> = (0..100)
        .map(|_| {
            let placed = journal.put(&entry("", true)).unwrap();
            journal.write(placed.seq).unwrap();
            journal.synced(placed.seq)
        })
        .collect();
    assert_eq!(journal.written(), Seq::new(100));
    assert_eq!(journal.synced_mark(), Seq::ZERO);
    disk.hold_syncs(false);
    for wait in waits {
        wait.wait().unwrap();
    }
    assert!(disk.count(Step::Sync) - syncs <= 2);
}

#[test]
fn a_failed_sync_reaches_everybody_who_waits() {
    let disk = SimDisk::new();
    let (journal, ..) = open(threaded(&disk, LONG)).unwrap();
    disk.wait_for(Step::SyncDir, 7);
    disk.hold_syncs(true);
    disk.fail(Step::Sync, 1, ErrorKind::Other);
    let waits: Vec<_> = (0..10)
        .map(|_| {
            let placed = journal.put(&entry("", true)).unwrap();
            journal.write(placed.seq).unwrap();
            journal.synced(placed.seq)
        })
        .collect();
    disk.hold_syncs(false);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for wait in waits {
        assert!(runtime.block_on(wait).is_err());
    }
    assert!(journal.healthy().is_err());
}

#[test]
fn eight_threads_on_a_real_disk_lose_nothing() {
    let state = tempfile::tempdir().unwrap();
    let options = || Options {
        segment_bytes: 64 << 10,
        ..Options::new(Timestamp::UNIX_EPOCH)
    };
    let (journal, ..) = open_in(state.path(), options()).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let journal = &journal;
            scope.spawn(move || {
                for n in 0..200 {
                    let durable = n % 10 == 0;
                    let members = members(writer * 1000 + n, n);
                    let placed = journal.put(&entry(&members, durable)).unwrap();
                    journal.write(placed.seq).unwrap();
                    if durable {
                        journal.synced(placed.seq).wait().unwrap();
                        assert!(journal.synced_mark() >= placed.seq);
                    }
                    let line = journal.read_at(placed.place, placed.seq).unwrap();
                    assert!(line.unwrap().contains(&members));
                }
            });
        }
    });
    assert_eq!(journal.verify().unwrap().last, Seq::new(1600));
    // No close: as after a kill, but for the threads.
    drop(journal);
    let (journal, opened, seen) = open_in(state.path(), options()).unwrap();
    assert_eq!((seen.len(), opened.tail_cut), (1600, None));
    assert_eq!(journal.verify().unwrap().broken, None);
    assert!(verify(&RealDisk, state.path(), None).unwrap().segments > 5);
}

#[test]
fn nobody_else_can_read_the_key_the_records_or_the_bodies() {
    use std::os::unix::fs::PermissionsExt;
    let state = tempfile::tempdir().unwrap();
    let (journal, ..) = open_in(state.path(), Options::new(Timestamp::UNIX_EPOCH)).unwrap();
    let name = journal.bodies().unwrap().keep(b"secret").unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    for file in ["journal.key", "journal/head", "journal/000001.jsonl"] {
        assert_eq!(mode(&state.path().join(file)), 0o600, "{file}");
    }
    let bodies: PathBuf = state.path().join("bodies");
    assert_eq!(mode(&bodies.join(name.to_string())), 0o600);
    assert_eq!(mode(&bodies), 0o700);
    assert_eq!(mode(&state.path().join("journal")), 0o700);
}

#[test]
fn a_replay_that_fails_refuses_and_changes_nothing() {
    let disk = SimDisk::new();
    closed(&disk, 10, 4096);
    let before = disk.content(&disk.segments()[0]);
    let refused =
        Journal::open(
            Path::new(STATE),
            options(&disk, 4096),
            &mut |record, _| match record.seq.get() {
                7 => Err("unknown kind".into()),
                _ => Ok(()),
            },
        );
    let refused = refused.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "record 7 can't be replayed: unknown kind"
    );
    assert_eq!(disk.content(&disk.segments()[0]), before);
}
