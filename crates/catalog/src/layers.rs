//! Functions and types: what came with `initdb` beneath the rest.
//!
//! The former are by far the most, and next to never change; snapshots that follow each other share
//! them. Nothing outside says to which layer an object belongs: its OID does.

use std::sync::Arc;

use crate::{Function, FunctionId, Type, TypeId, index::Index};

/// An object that is found by its identity and by its name.
pub(crate) trait Object {
    /// Its kind of identity; orders what came with `initdb` before everything else.
    type Id: Copy + Ord;

    fn id(&self) -> Self::Id;

    fn name(&self) -> &str;

    /// Whether it came with `initdb`.
    fn is_initdb(id: Self::Id) -> bool;
}

impl Object for Function {
    type Id = FunctionId;

    fn id(&self) -> FunctionId {
        self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn is_initdb(id: FunctionId) -> bool {
        id.is_builtin()
    }
}

impl Object for Type {
    type Id = TypeId;

    fn id(&self) -> TypeId {
        self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn is_initdb(id: TypeId) -> bool {
        id.is_builtin()
    }
}

/// Objects of one kind, by ascending identity.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Objects<T> {
    all: Box<[T]>,
    names: Index<Box<str>>,
}

impl<T: Object> Objects<T> {
    pub(crate) fn new(mut all: Vec<T>) -> Self {
        all.sort_unstable_by_key(Object::id);
        Self {
            names: Index::new(&all, |object| object.name().into()),
            all: all.into(),
        }
    }

    pub(crate) fn get(&self, id: T::Id) -> Option<&T> {
        let index = self.all.binary_search_by_key(&id, Object::id).ok()?;
        self.all.get(index)
    }
}

/// Functions and types that came with `initdb`, ready to be part of further snapshots.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Initdb {
    pub(crate) functions: Arc<Objects<Function>>,
    pub(crate) types: Arc<Objects<Type>>,
}

/// What came with `initdb`, and the rest.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Layers<T> {
    pub(crate) initdb: Arc<Objects<T>>,
    pub(crate) own: Objects<T>,
}

impl<T: Object> Layers<T> {
    /// All of them, by ascending identity.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.initdb.all.iter().chain(&self.own.all)
    }

    pub(crate) fn get(&self, id: T::Id) -> Option<&T> {
        if T::is_initdb(id) {
            self.initdb.get(id)
        } else {
            self.own.get(id)
        }
    }

    /// Those with this name, by ascending identity.
    pub(crate) fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a T> + use<'a, T> {
        let Objects { all, names } = &*self.initdb;
        let own = self.own.names.of(&self.own.all, name);
        names.of(all, name).chain(own)
    }
}
