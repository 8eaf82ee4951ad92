//! Reads and writes numbers and byte strings in bincode's format, faster than bincode, for the threads that
//! do little else.
//!
//! A number up to 250 is one byte. A larger one has a first byte that says how many follow, little-endian:
//! 251 two, 252 four, 253 eight. Each user is tested against bincode and falls back to it: `None` means that
//! this code does not handle the case, not that the bytes are wrong.

/// The bytes that are left to read.
pub(crate) struct VarintReader<'a>(pub(crate) &'a [u8]);

impl<'a> VarintReader<'a> {
    pub(crate) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const BYTES: usize>(&mut self) -> Option<[u8; BYTES]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// A number of two bytes or more, of the length that `mark` says.
    fn wide(&mut self, mark: u8) -> Option<u64> {
        match mark {
            251 => self.array().map(|bytes| u16::from_le_bytes(bytes).into()),
            252 => self.array().map(|bytes| u32::from_le_bytes(bytes).into()),
            253 => self.array().map(u64::from_le_bytes),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn long(&mut self) -> Option<u64> {
        match self.array()? {
            [number @ 0..=250] => Some(number.into()),
            [mark] => self.wide(mark),
        }
    }

    #[inline]
    pub(crate) fn short(&mut self) -> Option<u32> {
        match self.array()? {
            [number @ 0..=250] => Some(number.into()),
            [mark @ 251..=252] => self.wide(mark).map(|number| number as u32),
            _ => None,
        }
    }

    /// A byte string with its length before it.
    #[inline]
    pub(crate) fn slice(&mut self) -> Option<&'a [u8]> {
        let length = self.long()?;
        self.take(usize::try_from(length).ok()?)
    }
}

/// Writes into a buffer of fixed size.
pub(crate) struct VarintWriter<'b> {
    buffer: &'b mut [u8],
    length: usize,
}

impl<'b> VarintWriter<'b> {
    pub(crate) fn new(buffer: &'b mut [u8]) -> Self {
        VarintWriter { buffer, length: 0 }
    }

    /// Bytes written.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    #[inline]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.length + bytes.len();
        self.buffer.get_mut(self.length..end)?.copy_from_slice(bytes);
        self.length = end;
        Some(())
    }

    #[inline]
    pub(crate) fn byte(&mut self, byte: u8) -> Option<()> {
        *self.buffer.get_mut(self.length)? = byte;
        self.length += 1;
        Some(())
    }

    #[inline]
    pub(crate) fn long(&mut self, number: u64) -> Option<()> {
        if number <= 250 { self.byte(number as u8) } else { self.wide(number) }
    }

    /// A number of two bytes or more, behind the mark that says how many.
    #[inline]
    fn wide(&mut self, number: u64) -> Option<()> {
        let (mark, bytes) = match number {
            0..=0xffff => (251, 2),
            0x1_0000..=0xffff_ffff => (252, 4),
            _ => (253, 8),
        };
        // Writes all eight bytes; the next field overwrites those beyond the number's length.
        let all = self.buffer.get_mut(self.length..self.length + 9)?;
        all[0] = mark;
        all[1..].copy_from_slice(&number.to_le_bytes());
        self.length += 1 + bytes;
        Some(())
    }

    #[inline]
    pub(crate) fn short(&mut self, number: u32) -> Option<()> {
        self.long(number.into())
    }

    /// A byte string, with its length before it.
    #[inline]
    pub(crate) fn slice(&mut self, bytes: &[u8]) -> Option<()> {
        self.long(bytes.len() as u64)?;
        self.bytes(bytes)
    }
}
