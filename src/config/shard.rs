//! Which of several processes this is.

use serde::Deserialize;

/// As many as there can be.
pub(super) const MOST: u16 = 1000;

/// The part of the logins that this process looks after.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ShardConfig {
    /// Which shard this process is, from 0. With more than one it must be said, here or by `--shard.index`: a process that
    /// took itself for the first would leave the credentials of another unwatched.
    pub index: Option<u16>,
    /// How many shards there are.
    pub count: u16,
}

impl Default for ShardConfig {
    fn default() -> Self {
        Self { index: None, count: 1 }
    }
}

impl ShardConfig {
    /// What the command line and the environment say goes before what the file says.
    #[must_use]
    pub fn overridden(self, index: Option<u16>, count: Option<u16>) -> Self {
        Self { index: index.or(self.index), count: count.unwrap_or(self.count) }
    }

    /// The key that is wrong, and what to write.
    pub fn check(self) -> Result<(), (String, String)> {
        if self.count == 0 || self.count > MOST {
            return Err(("shard.count".to_owned(), format!("must be from 1 to {MOST}")));
        }
        if self.index.is_some_and(|index| index >= self.count) {
            let last = self.count - 1;
            return Err(("shard.index".to_owned(), format!("must be from 0 to {last}: shard.count is {}", self.count)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(index: Option<u16>, count: u16) -> ShardConfig {
        ShardConfig { index, count }
    }

    #[test]
    fn a_place_past_the_last_is_refused() {
        for (config, key) in [
            (shard(None, 0), "shard.count"),
            (shard(None, 1001), "shard.count"),
            (shard(Some(3), 3), "shard.index"),
            (shard(Some(1), 1), "shard.index"),
        ] {
            assert_eq!(config.check().expect_err("refused").0, key, "{config:?}");
        }
        for config in [shard(None, 1), shard(None, 1000), shard(Some(2), 3)] {
            assert_eq!(config.check(), Ok(()), "{config:?}");
        }
    }

    #[test]
    fn the_command_line_goes_first() {
        assert_eq!(shard(Some(0), 2).overridden(Some(4), Some(5)), shard(Some(4), 5));
        assert_eq!(shard(Some(1), 2).overridden(None, None), shard(Some(1), 2));
    }
}
