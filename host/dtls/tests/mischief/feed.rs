//! The fuzz target `association_feed` for those who have no fuzzer at hand: its corpus, mutations of it, random inputs.

use crate::association_feed_body::run;
use crate::network::fault::Chance;

#[test]
#[cfg_attr(not(ossl320), ignore = "needs raw public keys, which OpenSSL has from 3.2 on")]
fn the_corpus_and_mutations_of_it() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/association_feed");
    let mut seeds = 0;
    for file in std::fs::read_dir(directory).unwrap() {
        let seed = std::fs::read(file.unwrap().path()).unwrap();
        run(&seed);
        seeds += 1;
        let mut chance = Chance(seeds);
        for _ in 0..20 {
            let mut input = seed.clone();
            for _ in 0..4 {
                let at = usize::try_from(chance.below(input.len() as u64)).unwrap();
                input[at] = chance.next() as u8;
            }
            run(&input);
        }
    }
    assert_eq!(seeds, 8);
}

#[test]
#[cfg_attr(not(ossl320), ignore = "needs raw public keys, which OpenSSL has from 3.2 on")]
fn datagrams_mutated_at_random() {
    for seed in 0..600 {
        let mut chance = Chance(seed);
        let length = usize::try_from(chance.below(120)).unwrap();
        let input: Vec<u8> = (0..length).map(|_| chance.next() as u8).collect();
        run(&input);
    }
}

/// Most of the exchange is left alone, so that it comes further.
#[test]
#[cfg_attr(not(ossl320), ignore = "needs raw public keys, which OpenSSL has from 3.2 on")]
fn single_datagrams_mutated_at_random() {
    for seed in 0..600 {
        let mut chance = Chance(seed ^ 0xfeed);
        let mut input = vec![chance.next() as u8];
        for _ in 0..chance.below(10) {
            // Nothing happens, and a little time passes.
            input.extend([0, 3]);
        }
        let length = chance.below(12);
        input.extend((0..length).map(|_| chance.next() as u8));
        run(&input);
    }
}
