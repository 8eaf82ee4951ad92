//! Numbers and bytes as bincode writes them, read and written by hand where that is most of what a thread does.
//!
//! A number up to 250 is one byte; of a larger one the first byte says how many follow: 251 two, 252 four, 253 eight,
//! little-endian. Whoever uses this tests it against bincode, and leaves to it what is not read or written here: `None`
//! says nothing about the bytes.

/// What is left to be read.
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

    /// A number of two bytes or more, by the mark before it.
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

    /// Bytes with their number before them.
    #[inline]
    pub(crate) fn slice(&mut self) -> Option<&'a [u8]> {
        let length = self.long()?;
        self.take(usize::try_from(length).ok()?)
    }
}

/// What is written to.
pub(crate) struct VarintWriter<'b> {
    buffer: &'b mut [u8],
    length: usize,
}

impl<'b> VarintWriter<'b> {
    pub(crate) fn new(buffer: &'b mut [u8]) -> Self {
        VarintWriter { buffer, length: 0 }
    }

    /// How many bytes were written.
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
        // All eight, of which the next field overwrites what is not the number's.
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

    /// Bytes, with their number before them.
    #[inline]
    pub(crate) fn slice(&mut self, bytes: &[u8]) -> Option<()> {
        self.long(bytes.len() as u64)?;
        self.bytes(bytes)
    }
}
