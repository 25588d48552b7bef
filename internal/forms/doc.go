// Package forms owns questionnaires: what stores, programs and members ask, and
// what was handed in.
//
// Tables it writes: forms, form_versions, form_submissions.
//
// Invariants:
//   - What was handed in names the version that was asked, and versions never change.
//   - Customers are made and changed by their own domain, under all its rules, and
//     as far as the caller reaches; a member hands in about themselves only, as
//     far as members may change their record.
//   - Answers exist in the database only sealed with a key derived from the
//     customer's. Consents are recorded with the version of their text.
//   - All of it happens or nothing: record, consents and submission commit together.
//
// Submissions follow merged customers and go back when that is undone.
//
// State of a form: draft → published → archived → published.
//
// Events: form.submitted.
package forms
