//! Random bytes for tokens, message ids and locations.

use tidegate_proto::coap::Entropy;

/// The operating system's generator, asked for a page at a time: tokens must be unguessable, and a system call for
/// each would cost more than the rest of a request.
pub(crate) struct SystemEntropy {
    pool: [u8; 1024],
    used: usize,
}

impl SystemEntropy {
    pub(crate) fn new() -> Self {
        Self { pool: [0; 1024], used: 1024 }
    }
}

impl Entropy for SystemEntropy {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            if self.used == self.pool.len() {
                getrandom::fill(&mut self.pool)
                    .expect("the kernel's random generator works once the system is up");
                self.used = 0;
            }
            // A byte is handed out once and wiped, so that the pool never tells tokens that are in use.
            *byte = std::mem::take(&mut self.pool[self.used]);
            self.used += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_of_the_pool_is_handed_out_twice() {
        let mut entropy = SystemEntropy::new();
        let mut first = [0; 16];
        entropy.fill(&mut first);
        assert!(entropy.pool[..16].iter().all(|byte| *byte == 0));
        let mut rest = vec![0; 4096];
        entropy.fill(&mut rest);
        assert!(rest.windows(16).all(|window| window != first));
    }
}
