// Package imports takes files of customers over and gives them out again.
//
// An upload is sealed into the blob store as it arrives and looked at: format,
// encoding, delimiter, header, a suggested mapping of columns. A visible job
// then reads it in constant memory, 1,000 rows to a transaction; the number of
// the last row is written with what the rows became, so that a job that died
// goes on where it stopped and nothing is taken over twice. A row that breaks a
// rule is kept with its faults and its sealed cells and stops nothing.
//
// Exports walk the caller's scope page by page into a sealed file that expires.
//
// A run belongs to whoever asked for it and to nobody else: the error file
// repeats what was uploaded.
package imports
