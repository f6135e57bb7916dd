//! Ports that nothing listens on.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

/// A port free for both UDP and TCP, not given out before by this process. Someone else may still take it before it is
/// used; whoever starts a server on it tries again with another one.
pub fn free() -> Result<u16> {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = udp.local_addr()?.port();
        let unused = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if unused
            && GIVEN_OUT.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(port)
        {
            return Ok(port);
        }
    }
}

static GIVEN_OUT: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
