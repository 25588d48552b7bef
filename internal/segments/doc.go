// Package segments owns what is known about customers in numbers: their
// metrics, the RFM settings and the band each is in.
//
// customer_days holds what a customer bought and brought back on each business
// day; customer_metrics is derived from it, one row per customer who ever had
// an order or return. ApplyDays keeps both right in the transaction of the
// order, whatever the order of arrival. F, M and the band also change as days
// pass: reband_on is the next day on which they can, and a job recomputes the
// rows that are due at business midnight.
//
// Invariants: a metrics row equals the sum over its customer's days; its band
// is that of package platform/rfm by the settings in force, on any day before
// reband_on. Whoever recomputes a row holds its lock from before the days are
// read, and the settings' lock shared.
//
// Lifecycle stages are the customers domain's; the band is the one definition
// of loyal and dormant, and it is never copied there.
//
// Writes: customer_days, customer_metrics, the setting "rfm". Emits
// rfm.settings_changed.
package segments
