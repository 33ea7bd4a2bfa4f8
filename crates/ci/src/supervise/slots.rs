//! The numbers that jobs see as `DRYDOCK_SLOT`.

/// Taken slot numbers: no two running jobs have the same one, and the lowest free one is taken first.
#[derive(Debug, Default)]
pub(super) struct Slots(Vec<bool>);

impl Slots {
    /// Takes the lowest free slot.
    pub(super) fn take(&mut self) -> usize {
        let slot = self.0.iter().position(|taken| !taken).unwrap_or(self.0.len());
        if slot == self.0.len() {
            self.0.push(true);
        } else {
            self.0[slot] = true;
        }
        slot
    }

    /// Gives a slot back.
    pub(super) fn free(&mut self, slot: usize) {
        if let Some(taken) = self.0.get_mut(slot) {
            *taken = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_slot_is_taken() {
        let mut slots = Slots::default();
        assert_eq!([slots.take(), slots.take(), slots.take()], [0, 1, 2]);
        slots.free(1);
        slots.free(0);
        assert_eq!([slots.take(), slots.take(), slots.take()], [0, 1, 3]);
    }
}
