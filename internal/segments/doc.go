// Package segments owns what is known about customers in numbers: their
// metrics, the RFM settings and the band each is in.
//
// customer_days holds what a customer bought and brought back on each business
// day; customer_metrics is derived from it, one row per customer who ever had
// an order or return. ApplyDays keeps both right in the transaction of the
// order, whatever the order of arrival. F, M, the band and the stage also change
// as days pass: reband_on is the next day on which they can, and a job recomputes
// the rows that are due at business midnight.
//
// Lifecycle stages follow by rules kept here (package platform/lifecycle) from
// metrics, bands and the record's age, unless somebody set one by hand; the band
// is the one definition of loyal and dormant. The customers domain writes them
// (customers.Bought). They are derived in the transaction of an order, a return or
// a merge, at midnight, and for everybody by the job that follows a change of the
// rules; of those who never bought, midnight looks at the ages that rules name.
//
// Invariants: a metrics row equals the sum over its customer's days; its band
// is that of package platform/rfm by the settings in force, on any day before
// reband_on. Whoever recomputes a row holds from before the days are read, in
// this order: the lock of the customer, the settings' lock shared, that of the row.
//
// Writes: customer_days, customer_metrics, the settings "rfm", "lifecycle" and
// "lifecycle_aged". Emits rfm.settings_changed, lifecycle.rules_changed.
package segments
