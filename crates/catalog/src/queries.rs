//! The statements that fill a [`crate::Snapshot`], and the rows they return.
