//! Any sequence of changes against a map.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Put(bool, u8, Vec<u8>),
    Remove(bool, u8),
    /// The batch ends.
    Hand,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop::collection::vec(any::<u8>(), 0..600);
    prop_oneof![
        6 => (any::<bool>(), 0..12_u8, value).prop_map(|(table, key, value)| Step::Put(table, key, value)),
        3 => (any::<bool>(), 0..12_u8).prop_map(|(table, key)| Step::Remove(table, key)),
        3 => Just(Step::Hand),
        1 => Just(Step::Reopen),
    ]
}

fn table(is_plain: bool) -> Table {
    if is_plain { PLAIN } else { ASSOCIATIONS }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_store_holds_what_a_map_would(steps in prop::collection::vec(step(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        let mut model = [BTreeMap::new(), BTreeMap::new()];
        let mut batch = Batch::new();
        for step in steps.into_iter().chain([Step::Reopen]) {
            match step {
                Step::Put(is_plain, key, value) => {
                    batch.put(table(is_plain), [key], value.clone());
                    model[usize::from(is_plain)].insert(vec![key], value);
                }
                Step::Remove(is_plain, key) => {
                    batch.remove(table(is_plain), [key]);
                    model[usize::from(is_plain)].remove(&vec![key]);
                }
                Step::Hand => store.writer().write(std::mem::take(&mut batch)).unwrap(),
                Step::Reopen => {
                    store.writer().write(std::mem::take(&mut batch)).unwrap();
                    store.close().unwrap();
                    store = Store::open(folder.path()).unwrap();
                    for is_plain in [false, true] {
                        prop_assert_eq!(&entries(&store, table(is_plain)), &model[usize::from(is_plain)]);
                    }
                }
            }
        }
    }
}
