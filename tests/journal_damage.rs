//! The journal against power cuts, kills and damage: cut where it may be cut, refused
//! everywhere else.
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

use std::path::Path;

use simdisk::journal::{STATE, closed, damage, entry, members, open, options, put, put_pruned};
use simdisk::{Dice, SimDisk, cuts, every};
use tollgate::store::journal::{Journal, Loss, Options, Refused, Seq, Why, verify};

#[test]
fn a_synced_journal_cut_at_any_byte_of_its_last_4_kib_is_refused() {
    let disk = SimDisk::new();
    closed(&disk, 40, 64 << 10);
    let path = disk.segments().pop().unwrap();
    let whole = disk.content(&path);
    for length in cuts(&whole, 4096) {
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
    for length in cuts(&whole, 4096).chain([whole.len()]) {
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
            if !dice.one_in(every(20)) {
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
    let rounds = std::env::var("JOURNAL_SEEDS").map_or(400, |n| n.parse().unwrap());
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
        let worked = self.work(&journal);
        assert!(worked.is_ok() || self.disk.blown(), "{worked:?}");
        if worked.is_ok() && self.dice.one_in(3) && journal.close().is_ok() {
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
fn a_record_of_another_history_breaks_the_chain() {
    let disk = SimDisk::new();
    closed(&disk, 10, 64 << 10);
    let other = disk.kill();
    for (disk, members) in [(&disk, r#""a":1"#), (&other, r#""a":2"#)] {
        let (journal, ..) = open(options(disk, 64 << 10)).unwrap();
        put(&journal, members);
        put(&journal, "");
        journal.close().unwrap();
    }
    // Record 11 is replaced by a true record with the same number, also in its key.
    let path = disk.segments().pop().unwrap();
    let end = disk.content(&path).len();
    let start = end
        - disk
            .content(&path)
            .split(|b| *b == b'\n')
            .rev()
            .skip(1)
            .take(2)
            .map(|l| l.len() + 1)
            .sum::<usize>();
    let length = disk.content(&path)[start..]
        .iter()
        .position(|b| *b == b'\n')
        .unwrap();
    let foreign = other.content(&path)[start..start + length].to_vec();
    disk.tamper(&path, |content| {
        content[start..start + length].copy_from_slice(&foreign);
    });
    assert_eq!(
        damage(open(options(&disk, 64 << 10))),
        (Seq::new(12), Why::Prev)
    );
}

#[test]
fn pruning_that_is_interrupted_anywhere_is_finished_or_never_was() {
    let whole = SimDisk::new();
    closed(&whole, 60, 2048);
    for steps in 0..20 {
        for seed in 0..10 {
            let disk = whole.kill();
            let (journal, ..) = open(options(&disk, 2048)).unwrap();
            let (pruned, record) = put_pruned(&journal, 40);
            disk.set_fuse(steps);
            let _ = journal.prune(&pruned, record);
            drop(journal);
            let disk = disk.power_cut(&mut Dice(seed));
            let (journal, opened, _) = open(options(&disk, 2048)).unwrap();
            assert_eq!(opened.last, Seq::new(61));
            assert_eq!(journal.verify().unwrap().broken, None);
        }
    }
}
