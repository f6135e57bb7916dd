//! Tells the code which OpenSSL it is compiled against: raw public keys (RFC 7250) are there since 3.2.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(ossl320)");
    // What openssl-sys found; it hands the number, in hexadecimal, to the crates that depend on it.
    println!("cargo::rerun-if-env-changed=DEP_OPENSSL_VERSION_NUMBER");
    let number = std::env::var("DEP_OPENSSL_VERSION_NUMBER").ok();
    if number
        .and_then(|number| u64::from_str_radix(&number, 16).ok())
        .is_some_and(|number| number >= 0x3020_0000)
    {
        println!("cargo::rustc-cfg=ossl320");
    }
}
