//! What was read of the definitions under an epoch, for others who read under the same.

use bytes::Bytes;
use cache::{Scope, Version};
use catalog::DatabaseId;
use fred::types::Value;

use super::{
    Redis,
    line::Patience,
    names,
    scripts::PRINT,
    shared::{VERSION_TTL, millis},
    version::{Seen, version},
};
use crate::{Print, Trouble};

impl Redis {
    /// Whether somebody has read something else under this epoch. Who is the first leaves word.
    ///
    /// Nobody knows if Redis does not say, or the epoch is another by now.
    pub(crate) async fn contradicts(&self, id: DatabaseId, epoch: Version, print: &Print) -> bool {
        let found = self.read_first(id, epoch, print).await;
        let found = found.inspect_err(|&trouble| self.shared.note(trouble));
        found.ok().flatten().is_some_and(|first| first != print.sum)
    }

    async fn read_first(
        &self,
        id: DatabaseId,
        epoch: Version,
        print: &Print,
    ) -> Result<Option<[u8; 32]>, Trouble> {
        let shared = &self.shared;
        let (line, trust) = shared.line().ok_or(Trouble::Disconnected)?;
        let database = shared.database(id);
        let reading = shared.read((line, &trust), &database, &[], None).await?;
        let Some(Seen::Current(token) | Seen::Written(Some(token))) = reading.versions.first()
        else {
            return Ok(None);
        };
        if version(reading.generation, *token) != Some(epoch) {
            return Ok(None);
        }
        let keys = vec![
            database.keys.scope(Scope::Epoch(id)),
            database.keys.print(print.kind),
        ];
        let arguments = vec![
            names::value(token),
            names::value(epoch.as_bytes()),
            Value::Bytes(Bytes::copy_from_slice(&print.sum)),
            millis(VERSION_TTL),
        ];
        let by = (line, &*trust);
        let reply = PRINT.run(by, Patience::Writer, keys, arguments).await?;
        let first = reply.first().and_then(Value::as_bytes);
        Ok(first.and_then(|first| first.try_into().ok()))
    }
}
