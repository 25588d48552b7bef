// Package referrals owns invitations: the codes customers invite others by, and what
// becomes of those who come.
//
// A referral begins when somebody new names a code (registered). Their first paid
// order that is large enough qualifies it, and when that order's return window is
// over, with enough of it left, both sides get their points; a limit of the programme
// or signs of somebody inviting themselves hold it until a person decides. Goods that
// come back later reverse it.
//
// Invariants: a customer came by one code at most; nobody invites themselves or those
// who brought them, however far back; a referral is rewarded once, in one transaction
// with both sides' points, whose source keys are of the referral.
//
// Locks: the customers of both sides in the order of their ids, then the referral,
// then points accounts.
//
// Writes: referral_codes, referrals, and its setting. Emits referral.registered,
// referral.rewarded, referral.held, referral.reversed.
package referrals
