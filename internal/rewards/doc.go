// Package rewards owns what members get for points: the rewards there are, and what
// was redeemed.
//
// A redemption is issued, which locks the points (a hold of theirs) and, for a gift,
// a piece in the store that hands it out (a reservation); then fulfilled, which
// spends both, or cancelled or expired, which gives both back. Points come back as the
// lots they were. Coupons and donations are fulfilled at once: a code that somebody
// has seen cannot be taken back.
//
// Limits (in all, of a member, of a member in a period) and codes are judged under
// the lock of the reward, so they are never exceeded, whoever else is at it.
//
// Locks: the customer, stock, the reward, then accounts of points and the redemption.
//
// Writes: rewards, reward_codes, reward_redemptions. Emits reward.redeemed,
// reward.fulfilled, reward.cancelled, reward.expired.
package rewards
