use super::*;

fn sealer(byte: u8) -> (Sealer, Arc<MasterKey>) {
    let master = Arc::new(MasterKey::of(byte));
    (Sealer::new(Arc::clone(&master)), master)
}

#[test]
fn a_value_comes_back_as_it_was_an_empty_one_too() {
    let (mut sealer, master) = sealer(7);
    for value in [&b"secret"[..], b"", &[0; 5000]] {
        let sealed = sealer.seal("one", b"key", value).unwrap();
        assert_eq!(sealed.len(), value.len() + OVERHEAD);
        assert_eq!(**Opener::new(&master, "one").open(b"key", &sealed).unwrap(), *value);
    }
}

#[test]
fn the_value_of_another_entry_or_table_or_key_is_refused() {
    let (mut sealer, master) = sealer(7);
    let sealed = sealer.seal("one", b"key", b"secret").unwrap();
    let refused = Err(Unreadable::Authentication);
    assert_eq!(Opener::new(&master, "one").open(b"other", &sealed), refused);
    assert_eq!(Opener::new(&master, "other").open(b"key", &sealed), refused);
    assert_eq!(Opener::new(&MasterKey::of(8), "one").open(b"key", &sealed), refused);
}

#[test]
fn a_value_with_any_bit_flipped_or_any_length_cut_is_refused() {
    let (mut sealer, master) = sealer(7);
    let sealed = sealer.seal("one", b"key", b"secret").unwrap();
    let mut opener = Opener::new(&master, "one");
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(opener.open(b"key", &flipped).is_err(), "bit {bit}");
    }
    for length in 0..sealed.len() {
        assert!(opener.open(b"key", &sealed[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn a_key_serves_for_so_many_values_and_then_there_is_another() {
    let (mut sealer, master) = sealer(7);
    sealer.uses = 3;
    let sealed: Vec<_> = (0..7).map(|_| sealer.seal("one", b"key", b"secret").unwrap()).collect();
    let salt = |index: usize| &sealed[index][1..NONCE_AT];
    assert!(salt(0) == salt(2) && salt(2) != salt(3) && salt(3) == salt(5) && salt(5) != salt(6));
    let mut opener = Opener::new(&master, "one");
    assert!(sealed.iter().all(|sealed| opener.open(b"key", sealed).is_ok()));
    let nonces: std::collections::BTreeSet<_> =
        sealed.iter().map(|sealed| &sealed[NONCE_AT..TAG_AT]).collect();
    assert_eq!(nonces.len(), sealed.len());
}

#[test]
fn each_start_and_each_table_has_keys_of_its_own() {
    let (mut first, _) = sealer(7);
    let (mut second, _) = sealer(7);
    let salt = |sealed: Vec<u8>| sealed[1..NONCE_AT].to_vec();
    let one = salt(first.seal("one", b"key", b"secret").unwrap());
    assert_ne!(one, salt(second.seal("one", b"key", b"secret").unwrap()));
    assert_ne!(one, salt(first.seal("two", b"key", b"secret").unwrap()));
    let (master, salt) = (MasterKey::of(7), [1; SALT]);
    assert_ne!(**derive(&master, &salt, "one").unwrap(), **derive(&master, &salt, "two").unwrap());
}

/// Test case 15 of McGrew and Viega's specification of GCM, which NIST took over: the cipher is the one we think it is.
#[test]
fn the_cipher_is_the_standards() {
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    };
    let key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    let plain = hex(concat!(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72",
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
    ));
    let mut crypter =
        Crypter::new(Cipher::aes_256_gcm(), Mode::Encrypt, &key, Some(&hex("cafebabefacedbaddecaf888")))
            .unwrap();
    let (mut out, mut tag) = (vec![0; plain.len()], [0; TAG]);
    assert_eq!(update(&mut crypter, &plain, &mut out).unwrap(), plain.len());
    crypter.finalize(&mut []).unwrap();
    crypter.get_tag(&mut tag).unwrap();
    assert_eq!(tag.to_vec(), hex("b094dac5d93471bdec1a502270e3cc6c"));
}
