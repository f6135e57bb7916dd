//! What the clients have: temperatures (object 3303), as OMA TLV (OMA core 1.2.1, 7.4.3). One sample is the Sensor Value of instance 0;
//! several are those of as many instances. `client` sends it.

/// The contents, ready but for the values.
#[derive(Debug)]
pub(super) struct Content {
    links: String,
    payload: Vec<u8>,
    values: Vec<usize>,
}

impl Content {
    /// At least one sample, and at most [`MOST_SAMPLES`].
    pub(super) fn new(samples: usize) -> Self {
        let mut links = String::from("</>;rt=\"oma.lwm2m\",</1/0>,</3/0>");
        let (mut payload, mut values) = (Vec::new(), Vec::new());
        if samples > 1 {
            links.push_str(",</3303>");
        }
        for instance in 0..samples {
            links.push_str(&format!(",</3303/{instance}>"));
            if samples > 1 {
                // An object instance: identifier of one byte, seven bytes of content.
                payload.extend_from_slice(&[0x07, u8::try_from(instance).unwrap_or(u8::MAX)]);
            }
            payload.extend_from_slice(&SENSOR_VALUE);
            values.push(payload.len());
            payload.extend_from_slice(&[0; 4]);
        }
        Self { links, payload, values }
    }

    /// What a client of this content is to be observed at.
    pub(super) fn path(samples: usize) -> &'static str {
        if samples > 1 { "/3303" } else { "/3303/0/5700" }
    }

    /// What a client registers with.
    pub(super) fn links(&self) -> &[u8] {
        self.links.as_bytes()
    }

    /// Appends options and payload of a notification.
    pub(super) fn observed(&self, number: u32, value: f32, out: &mut Vec<u8>) {
        let [_, high, middle, low] = number.to_be_bytes();
        // Observe with three bytes; Content-Format 11542.
        out.extend_from_slice(&[0x63, high, middle, low, 0x62, 0x2d, 0x16, 0xff]);
        let start = out.len();
        out.extend_from_slice(&self.payload);
        for at in &self.values {
            out[start + at..start + at + 4].copy_from_slice(&value.to_be_bytes());
        }
    }

    /// Appends options and payload of an answer to a read of `/3303/0/5700`.
    pub(super) fn read(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0xc2, 0x2d, 0x16, 0xff]);
        out.extend_from_slice(&SENSOR_VALUE);
        out.extend_from_slice(&21.5_f32.to_be_bytes());
    }
}

/// Resource 5700 with four bytes.
const SENSOR_VALUE: [u8; 3] = [0xe4, 0x16, 0x44];
/// So that a notification is one message.
pub(super) const MOST_SAMPLES: usize = 100;
