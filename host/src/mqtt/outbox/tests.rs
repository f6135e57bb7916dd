use std::fs;
use std::path::Path;
use std::time::Instant;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn numbered(numbers: impl IntoIterator<Item = u32>) -> Vec<Publication> {
    let publication = |number: u32| Publication {
        topic: "t".into(),
        payload: number.to_be_bytes().to_vec(),
        ..Publication::default()
    };
    numbers.into_iter().map(publication).collect()
}

fn number(publication: &Publication) -> u32 {
    let bytes = publication.payload.first_chunk().expect("a number");
    u32::from_be_bytes(*bytes)
}

/// Takes what is there, at most so many; none of it is done.
fn take(drain: &mut Drain, most: usize) -> Vec<(u32, Ticket)> {
    let taken = std::iter::from_fn(|| drain.try_take()).take(most);
    taken.map(|taken| (number(&taken.publication), taken.ticket)).collect()
}

fn numbers(drain: &mut Drain) -> Vec<u32> {
    take(drain, usize::MAX).into_iter().map(|(number, _)| number).collect()
}

fn on_disk(folder: &Path) -> OutboxOptions {
    OutboxOptions { directory: Some(folder.to_owned()), ..OutboxOptions::default() }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|lane| format!("shard-{lane}")).collect()
}

fn open(folder: &Path) -> (Lane, Drain) {
    let (mut lanes, drain) = Outbox::open(&names(1), &on_disk(folder)).unwrap();
    (lanes.remove(0), drain)
}

/// The folder as a crash of the gateway at this moment would leave it.
fn crashed(folder: &Path) -> TempDir {
    loop {
        match copied(folder) {
            Ok(copy) => return copy,
            // The keeper, a thread of its own, has renamed or removed a file meanwhile: that is no moment.
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}"),
        }
    }
}

fn copied(folder: &Path) -> io::Result<TempDir> {
    let copy = tempfile::tempdir()?;
    for lane in fs::read_dir(folder)? {
        let lane = lane?;
        let into = copy.path().join(lane.file_name());
        fs::create_dir(&into)?;
        for file in fs::read_dir(lane.path())? {
            let file = file?;
            fs::copy(file.path(), into.join(file.file_name()))?;
        }
    }
    Ok(copy)
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.join("shard-0")).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|it| it == "log")).collect();
    files.sort();
    files
}

#[test]
fn a_group_goes_in_whole_or_not_at_all() {
    let (mut lanes, mut drain) = Outbox::in_memory(1, 4);
    let lane = &mut lanes[0];
    lane.offer(numbered(0..3)).unwrap();
    let refused = lane.offer(numbered(3..5)).unwrap_err();
    assert_eq!(refused, Refused { reason: Refusal::Full, publications: numbered(3..5) });
    assert_eq!(lane.waiting(), 3);

    let taken = take(&mut drain, 1);
    assert_eq!(lane.offer(numbered(3..5)).unwrap_err().reason, Refusal::Full, "it is not done yet");
    drain.done(taken[0].1);
    lane.offer(refused.publications).unwrap();
    assert_eq!(numbers(&mut drain), [1, 2, 3, 4]);
}

#[test]
fn what_is_staged_counts_and_waits_for_the_commit() {
    let (mut lanes, mut drain) = Outbox::in_memory(1, 4);
    lanes[0].stage(numbered(0..2)).unwrap();
    lanes[0].stage(numbered(2..4)).unwrap();
    assert_eq!(lanes[0].stage(numbered(4..5)).unwrap_err().reason, Refusal::Full);
    assert!(drain.try_take().is_none());
    lanes[0].commit();
    assert_eq!(numbers(&mut drain), [0, 1, 2, 3]);
}

#[test]
fn a_group_that_can_never_fit_is_told_apart() {
    let (mut lanes, _drain) = Outbox::in_memory(2, 4);
    assert_eq!(lanes[0].offer(numbered(0..3)).unwrap_err().reason, Refusal::TooMany);
    assert_eq!(lanes[0].waiting(), 0);
}

#[test]
fn lanes_are_drained_in_turn() {
    let (mut lanes, mut drain) = Outbox::in_memory(2, 8);
    lanes[0].offer(numbered([0, 1, 2, 3])).unwrap();
    lanes[1].offer(numbered([10, 11])).unwrap();
    assert_eq!(numbers(&mut drain), [0, 10, 1, 11, 2, 3]);
}

#[test]
fn closing_keeps_what_is_in_and_refuses_the_rest() {
    let (mut lanes, mut drain) = Outbox::in_memory(1, 4);
    lanes[0].offer(numbered([1])).unwrap();
    drain.close();
    assert_eq!(lanes[0].offer(numbered([2])).unwrap_err().reason, Refusal::Closed);
    assert_eq!(drain.waiting(), 1);
    assert_eq!(numbers(&mut drain), [1]);
}

#[tokio::test]
async fn the_drain_is_told_of_what_comes() {
    let (mut lanes, mut drain) = Outbox::in_memory(1, 4);
    let waiting = tokio::spawn(async move {
        while drain.waiting() == 0 {
            drain.ready().await;
        }
        numbers(&mut drain)
    });
    lanes[0].offer(numbered([7])).unwrap();
    assert_eq!(waiting.await.unwrap(), [7]);
}

#[test]
fn after_a_crash_all_that_was_not_done_comes_again_before_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let (mut lane, mut drain) = open(folder.path());
    lane.offer(numbered(0..10)).unwrap();
    let taken = take(&mut drain, 5);
    taken[..3].iter().for_each(|(_, ticket)| drain.done(*ticket));
    drop(drain);
    let folder = crashed(folder.path());
    let (mut lane, mut drain) = open(folder.path());
    assert_eq!((lane.waiting(), drain.gauge().counts().recovered), (7, 7));
    lane.offer(numbered(10..12)).unwrap();
    assert_eq!(numbers(&mut drain), (3..12).collect::<Vec<_>>());
}

#[test]
fn what_is_done_out_of_order_is_kept_until_what_is_older_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let (mut lane, mut drain) = open(folder.path());
    lane.offer(numbered(0..4)).unwrap();
    let taken = take(&mut drain, 4);
    drain.done(taken[2].1);
    drain.done(taken[1].1);
    assert_eq!(lane.waiting(), 4);
    drain.done(taken[0].1);
    assert_eq!(lane.waiting(), 1);
    drop((lane, drain));
    assert_eq!(numbers(&mut open(folder.path()).1), [3]);
}

#[test]
fn what_was_staged_and_not_committed_is_not_there_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let (mut lane, _drain) = open(folder.path());
    lane.offer(numbered(0..2)).unwrap();
    lane.stage(numbered(2..4)).unwrap();
    assert_eq!(numbers(&mut open(crashed(folder.path()).path()).1), [0, 1]);
}

#[test]
fn more_than_memory_holds_is_read_from_the_disk_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (mut lane, mut drain) = open(folder.path());
    let mut expected = 0..;
    let mut offered = 0;
    for round in 0..4 {
        for _ in 0..200 {
            lane.offer(numbered(offered..offered + 50)).unwrap();
            offered += 50;
        }
        for (number, ticket) in take(&mut drain, 7_000 + round) {
            assert_eq!(Some(number), expected.next());
            drain.done(ticket);
        }
    }
    for (number, ticket) in take(&mut drain, usize::MAX) {
        assert_eq!(Some(number), expected.next());
        drain.done(ticket);
    }
    assert_eq!(expected.next(), Some(offered));
    assert_eq!(lane.waiting(), 0);
}

#[test]
fn segments_that_nobody_needs_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut lane, mut drain) = open(folder.path());
    let large =
        || vec![Publication { topic: "t".into(), payload: vec![0; 1 << 20], ..Publication::default() }];
    (0..20).for_each(|_| lane.offer(large()).unwrap());
    assert!(segments(folder.path()).len() >= 4);
    while let Some(taken) = drain.try_take() {
        drain.done(taken.ticket);
    }
    drop(drain);
    assert_eq!(segments(folder.path()).len(), 1, "the last may still grow");
}

#[test]
fn a_lane_that_there_is_no_more_is_drained_first_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut lanes, drain) = Outbox::open(&names(3), &on_disk(folder.path())).unwrap();
    for (lane, first) in lanes.iter_mut().zip([0, 10, 20]) {
        lane.offer(numbered(first..first + 2)).unwrap();
    }
    drop((lanes, drain));
    let (mut lane, mut drain) = open(folder.path());
    lane.offer(numbered([100])).unwrap();
    let taken = take(&mut drain, usize::MAX);
    assert_eq!(taken.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 10, 20, 1, 11, 21, 100]);
    taken.into_iter().for_each(|(_, ticket)| drain.done(ticket));
    drop(drain);
    let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["shard-0"]);
}

#[test]
fn a_full_outbox_drops_its_oldest_if_it_is_to() {
    for directory in [None, Some(tempfile::tempdir().unwrap())] {
        let options = OutboxOptions {
            publications: 4,
            when_full: WhenFull::DropOldest,
            directory: directory.as_ref().map(|it| it.path().to_owned()),
            ..OutboxOptions::default()
        };
        let (mut lanes, mut drain) = Outbox::open(&names(1), &options).unwrap();
        (0..10).for_each(|number| lanes[0].offer(numbered([number])).unwrap());
        assert_eq!((lanes[0].waiting(), drain.gauge().counts().dropped), (4, 6));
        assert_eq!(lanes[0].offer(numbered(0..5)).unwrap_err().reason, Refusal::TooMany);
        assert_eq!(numbers(&mut drain), [6, 7, 8, 9]);
    }
}

#[test]
fn bytes_count_as_well() {
    for directory in [None, Some(tempfile::tempdir().unwrap())] {
        let options = OutboxOptions {
            bytes: 100_000,
            directory: directory.as_ref().map(|it| it.path().to_owned()),
            ..OutboxOptions::default()
        };
        let large = |number: u32| {
            let payload = [number.to_be_bytes().as_slice(), &[0; 30_000]].concat();
            vec![Publication { topic: "t".into(), payload, ..Publication::default() }]
        };
        let (mut lanes, _drain) = Outbox::open(&names(1), &options).unwrap();
        (0..3).for_each(|number| lanes[0].offer(large(number)).unwrap());
        assert_eq!(lanes[0].offer(large(3)).unwrap_err().reason, Refusal::Full);

        let options = OutboxOptions { when_full: WhenFull::DropOldest, directory: None, ..options };
        let (mut lanes, mut drain) = Outbox::open(&names(1), &options).unwrap();
        (0..9).for_each(|number| lanes[0].offer(large(number)).unwrap());
        assert_eq!(numbers(&mut drain), [6, 7, 8]);
    }
}

#[test]
fn a_disk_that_takes_nothing_costs_nothing_while_the_gateway_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (mut lane, mut drain) = open(folder.path());
    lane.offer(numbered(0..2)).unwrap();
    // The segment cannot be begun.
    fs::rename(folder.path().join("shard-0"), folder.path().join("gone")).unwrap();
    lane.log.as_mut().unwrap().abandon();
    lane.offer(numbered(2..4)).unwrap();
    assert_eq!(drain.gauge().counts().degraded, 1);
    lane.offer(numbered(4..6)).unwrap();
    fs::rename(folder.path().join("gone"), folder.path().join("shard-0")).unwrap();
    lane.retry = Some(Instant::now());
    lane.offer(numbered(6..8)).unwrap();
    assert_eq!(drain.gauge().counts().degraded, 0);
    let crash = crashed(folder.path());
    assert_eq!(numbers(&mut drain), [0, 1, 2, 3, 4, 5, 6, 7]);
    let (_lane, mut drain) = open(crash.path());
    assert_eq!(numbers(&mut drain), [0, 1, 6, 7], "what was in memory only is lost with the process");
    assert_eq!(drain.gauge().counts().unreadable, 4, "and that is told");
}

#[test]
fn a_damaged_record_costs_what_follows_it_in_its_file_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (mut lane, drain) = open(folder.path());
    lane.offer(numbered(0..10)).unwrap();
    lane.log.as_mut().unwrap().abandon();
    lane.offer(numbered(10..20)).unwrap();
    drop((lane, drain));
    let first = &segments(folder.path())[0];
    let mut bytes = fs::read(first).unwrap();
    let record = bytes.len() / 10;
    bytes[record * 4 + 12] ^= 1;
    fs::write(first, bytes).unwrap();
    let (mut lane, mut drain) = open(folder.path());
    lane.offer(numbered([20])).unwrap();
    assert_eq!(numbers(&mut drain), [0, 1, 2, 3].into_iter().chain(10..21).collect::<Vec<_>>());
    assert_eq!(drain.gauge().counts().unreadable, 6);
}

#[test]
fn a_position_that_cannot_be_read_costs_repetitions_only() {
    let folder = tempfile::tempdir().unwrap();
    let (mut lane, mut drain) = open(folder.path());
    lane.offer(numbered(0..3)).unwrap();
    let taken = take(&mut drain, 2);
    taken.iter().for_each(|(_, ticket)| drain.done(*ticket));
    drop((lane, drain));
    fs::write(folder.path().join("shard-0/position"), b"nonsense").unwrap();
    assert_eq!(numbers(&mut open(folder.path()).1), [0, 1, 2]);
}

#[derive(Clone, Debug)]
enum Deed {
    Offer(u8),
    Take(u8),
    /// Of those that were taken, the one at this place.
    Done(prop::sample::Index),
    Crash,
    /// A crash of the machine, which may cut the last file anywhere.
    Cut(prop::sample::Index),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        5 => (1..20_u8).prop_map(Deed::Offer),
        4 => (1..30_u8).prop_map(Deed::Take),
        9 => any::<prop::sample::Index>().prop_map(Deed::Done),
        1 => Just(Deed::Crash),
        1 => any::<prop::sample::Index>().prop_map(Deed::Cut),
    ];
    prop::collection::vec(deed, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What was offered is taken in its order, and after each crash again all that was not done, and nothing that was done and
    /// noted long ago.
    #[test]
    fn nothing_is_lost_and_the_order_is_kept(deeds in deeds()) {
        let mut folder = tempfile::tempdir().unwrap();
        let (mut lane, mut drain) = open(folder.path());
        let (mut offered, mut next) = (0_u32, 0_u32);
        let mut taken: Vec<(u32, Ticket)> = Vec::new();
        let mut done = std::collections::BTreeSet::new();
        for deed in deeds {
            match deed {
                Deed::Offer(count) => {
                    lane.offer(numbered(offered..offered + u32::from(count))).unwrap();
                    offered += u32::from(count);
                }
                Deed::Take(count) => {
                    for (number, ticket) in take(&mut drain, count.into()) {
                        prop_assert_eq!(number, next);
                        next += 1;
                        taken.push((number, ticket));
                    }
                }
                Deed::Done(at) if !taken.is_empty() => {
                    let (number, ticket) = taken.swap_remove(at.index(taken.len()));
                    drain.done(ticket);
                    done.insert(number);
                }
                Deed::Done(_) => {}
                Deed::Crash | Deed::Cut(_) => {
                    let left = crashed(folder.path());
                    drop((lane, drain));
                    folder = left;
                    let mut kept = offered;
                    if let Deed::Cut(at) = deed
                        && let Some(last) = segments(folder.path()).last()
                    {
                        let bytes = fs::read(last).unwrap();
                        let at = at.index(bytes.len() + 1);
                        fs::write(last, &bytes[..at]).unwrap();
                        kept = 0;
                    }
                    (lane, drain) = open(folder.path());
                    taken = take(&mut drain, usize::MAX);
                    let numbers: Vec<u32> = taken.iter().map(|(number, _)| *number).collect();
                    let first = numbers.first().copied().unwrap_or(kept);
                    let first_undone = (0..).find(|number| !done.contains(number)).unwrap();
                    prop_assert!(first <= first_undone || kept == 0);
                    let end = numbers.last().map_or(first, |last| last + 1);
                    prop_assert_eq!(&numbers, &(first..end).collect::<Vec<_>>());
                    prop_assert!(end == kept || kept == 0);
                    // What a cut took away counts as never offered.
                    if kept == 0 {
                        offered = end.max(first);
                        if numbers.is_empty() {
                            return Ok(());
                        }
                    }
                    next = end;
                }
            }
        }
    }
}

/// What the disk costs. Printed; nothing is asserted of a time.
#[test]
#[ignore = "a measurement: make bench-outbox"]
fn bench() {
    let publication =
        Publication { topic: "up/notify".into(), payload: vec![b'x'; 200], ..Publication::default() };
    let each = |begun: Instant, count: u32| begun.elapsed().as_secs_f64() * 1e6 / f64::from(count);
    for batch in [1_u32, 8, 64] {
        let cost = [None, Some(tempfile::tempdir().unwrap())].map(|directory| {
            let directory = directory.as_ref().map(|it| it.path().to_owned());
            let options = OutboxOptions { directory, ..OutboxOptions::default() };
            let (mut lanes, mut drain) = Outbox::open(&names(1), &options).unwrap();
            let begun = Instant::now();
            for _ in 0..BENCH / batch {
                (0..batch).for_each(|_| lanes[0].stage(vec![publication.clone()]).unwrap());
                lanes[0].commit();
                while let Some(taken) = drain.try_take() {
                    drain.done(taken.ticket);
                }
            }
            each(begun, BENCH)
        });
        println!(
            "{batch:>3} in a turn: {:.2} us each in memory, {:.2} us with the log, {:.2} us more",
            cost[0],
            cost[1],
            cost[1] - cost[0]
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut lane, drain) = open(folder.path());
    for _ in 0..BENCH {
        lane.offer(vec![publication.clone()]).unwrap();
    }
    drop((lane, drain));
    let begun = Instant::now();
    let (_lane, mut drain) = open(folder.path());
    println!("{BENCH} publications are found again in {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
    let begun = Instant::now();
    while let Some(taken) = drain.try_take() {
        drain.done(taken.ticket);
    }
    println!("and read back at {:.2} us each", each(begun, BENCH));
}

const BENCH: u32 = 256_000;
