// Package match tells whether two records are about one person.
//
// The method is Fellegi and Sunter's: each field that both records have says,
// by how well it agrees, how many times likelier the pair is to be one person
// than two. The logarithms of these ratios (to base 2) add up, together with how
// rare a duplicate is among all pairs, and the sum is read as a probability: the
// score. A missing value says nothing. Agreement comes in levels (equal, close,
// similar, …); that of a rare name says more than that of a common one, by the
// frequencies of the records themselves (Stats).
//
// Two things depend on each other and must not be counted twice. People of one
// household share a surname, an address and often a telephone: together these
// never say more than that the two live together. And brothers and sisters may
// be twins: an equal birth date is little evidence when the given names differ.
//
// Comparing all pairs is out of the question, so Blocks proposes those that
// share one of several keys, each robust against another kind of mistake.
// Nothing here touches a database or keeps a value longer than its caller does.
//
// Weights and threshold were set by reasoning and on generated records only.
package match
