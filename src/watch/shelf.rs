//! What a target's task has learned and must not lose when it dies of a defect and is started anew.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use super::desk::Desk;
use super::recovery::Recovery;

/// The books of one target.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) recovery: Recovery,
    pub(super) desk: Desk,
}

/// Where the books lie while no task has them.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    books: Arc<Mutex<Option<Box<Books>>>>,
    blank: Recovery,
}

/// The books in the hands of a task; they are put back however it ends.
#[derive(Debug)]
pub(super) struct Taken {
    books: Option<Box<Books>>,
    shelf: Arc<Mutex<Option<Box<Books>>>>,
}

impl Shelf {
    pub(super) fn new(recovery: Recovery) -> Shelf {
        Shelf { books: Arc::default(), blank: recovery }
    }

    pub(super) fn take(&self) -> Taken {
        let books = self.books.lock().unwrap_or_else(PoisonError::into_inner).take();
        let blank = || Box::new(Books { recovery: self.blank.clone(), desk: Desk::default() });
        Taken { books: Some(books.unwrap_or_else(blank)), shelf: self.books.clone() }
    }
}

impl Deref for Taken {
    type Target = Books;

    fn deref(&self) -> &Books {
        self.books.as_ref().expect("only `drop` takes them")
    }
}

impl DerefMut for Taken {
    fn deref_mut(&mut self) -> &mut Books {
        self.books.as_mut().expect("only `drop` takes them")
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        *self.shelf.lock().unwrap_or_else(PoisonError::into_inner) = self.books.take();
    }
}
