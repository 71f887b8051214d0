//! How many calls may be made twice.

/// What one retry costs, in shares that each call brings one of.
const PRICE: u32 = 10;

/// How many retries can be saved up.
const RESERVE: u32 = 10;

/// One retry for every ten calls, and ten at the start or after a quiet time: an outage makes a tenth more calls, not
/// twice as many.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    shares: u32,
}

impl RetryBudget {
    pub(crate) fn new() -> Self {
        Self {
            shares: RESERVE * PRICE,
        }
    }

    /// A call is made.
    pub(crate) fn called(&mut self) {
        self.shares = (self.shares + 1).min(RESERVE * PRICE);
    }

    /// Whether a call may be made once more; it counts as having been.
    pub(crate) fn spend(&mut self) -> bool {
        let left = self.shares.checked_sub(PRICE);
        self.shares = left.unwrap_or(self.shares);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_calls_that_fail_are_retried_a_hundred_and_ten_times_at_the_most() {
        let mut budget = RetryBudget::new();
        let retries = (0..1000)
            .filter(|_| {
                budget.called();
                budget.spend()
            })
            .count();
        // A tenth of them, and the reserve; the first call finds the reserve full and brings nothing.
        assert_eq!(retries, 109);
    }

    #[test]
    fn however_many_calls_went_well_no_more_than_ten_retries_are_saved_up() {
        let mut budget = RetryBudget::new();
        for _ in 0..10_000 {
            budget.called();
        }
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
    }
}
