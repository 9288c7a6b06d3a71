/// Input not yet sent anywhere.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    data: Vec<u8>,
    start: usize,
}

impl Gathered {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.data[self.start..]
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        if self.start >= self.data.len() / 2 {
            self.data.drain(..self.start);
            self.start = 0;
        }
        self.data.extend_from_slice(bytes);
    }

    /// Moves up to `len` bytes from the beginning into `to`.
    pub(super) fn cut(&mut self, len: usize, to: &mut Vec<u8>) {
        let len = len.min(self.bytes().len());
        to.clear();
        to.extend_from_slice(&self.bytes()[..len]);
        self.start += len;
    }

    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        match self.start.checked_sub(bytes.len()) {
            Some(start) => {
                self.data[start..self.start].copy_from_slice(bytes);
                self.start = start;
            }
            None => {
                self.data.splice(..self.start, bytes.iter().copied());
                self.start = 0;
            }
        }
    }
}
