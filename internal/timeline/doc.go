// Package timeline owns what staff write down about customers and the files they
// attach, and reads
// everything that happened with one as a single stream (timeline.go) over the
// tables that domains declare as sources (source.go).
//
// Tables it writes: notes, note_mentions, attachments, file_removals.
//
// Invariants:
//
//   - The text of a note exists in the database only sealed with a key derived
//     from its customer's.
//
//   - A note is seen by those who see its customer and hold notes.read; members
//     see none.
//
//   - Whoever is mentioned was active and able to read the note when they were.
//     One who may not see the customer any more does not find it among theirs.
//
//   - Notes are changed by who wrote them, and by those with notes.manage.
//
//   - A customer is locked before anything of theirs is written, so that a merge
//     meets either all of it or nothing.
//
//   - The contents of an attachment are sealed with a key of their own, which is
//     sealed with a key derived from the customer's. No file is without a row for
//     longer than an hour, and no row without its file (removals.go).
//
// Notes and attachments follow merged customers and go back when that is undone.
//
// Events: note.created, note.updated, note.deleted, attachment.created,
// attachment.updated, attachment.deleted.
package timeline
