package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// TopUpRule gives a bonus for money put into a wallet at once: the rule with the
// highest amount that was reached.
type TopUpRule struct {
	Amount int64 `json:"amount"`
	Bonus  int64 `json:"bonus_amount"`
}

// WalletProgramme says how the business keeps stored value: one row.
type WalletProgramme struct{ ent.Schema }

// Fields of the WalletProgramme. Amounts are in minor units.
func (WalletProgramme) Fields() []ent.Field {
	return []ent.Field{
		field.Int("id").Immutable().Comment("always 1"),
		field.Enum("spend_order").Values("principal_first", "bonus_first", "pro_rata").Default("principal_first"),
		field.JSON("top_up_rules", []TopUpRule{}).Optional(),
		field.Int64("top_up_minimum").Default(1),
		field.Int64("balance_limit").Optional().Nillable().Comment("what a member can have at most, the bonus included"),
		field.Int("bonus_days").Default(365).Comment("business days that a bonus lasts; 0: for ever. Principal never expires"),
		field.Int("give_back_days").Default(30).Comment("a bonus that comes back after its time lasts so many days more"),
		field.Bool("transferable").Default(false).Comment("whether members can give principal to others"),
		field.Int64("approval_limit").Optional().Nillable().Comment("adjustments of more need somebody else's approval"),
		field.Int64("pin_above_amount").Optional().Nillable().Comment("payments of more need the wallet's PIN; null: none does"),
		field.Int("card_days").Default(1095).Comment("business days that a gift card is valid after it was sold; 0: for ever"),
		field.Int64("card_limit").Optional().Nillable().Comment("the highest amount of a gift card"),
		field.Int64("version").Default(1),
		field.Time("updated_at").Default(time.Now),
	}
}

// Annotations of the WalletProgramme.
func (WalletProgramme) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"wallet_programmes_one_check":     "id = 1",
		"wallet_programmes_numbers_check": "top_up_minimum > 0 AND bonus_days >= 0 AND give_back_days >= 0 AND card_days >= 0",
	})}
}

// Policy of the WalletProgramme: members' own payments go by it.
func (WalletProgramme) Policy() ent.Policy { return scope.Everybody() }

// WalletAccount holds stored value: a customer's wallet, or what is on a gift card.
// Its amounts are the sums of its lots and of its entries. A customer who took over
// another one's record has that one's wallet beside the own.
type WalletAccount struct{ ent.Schema }

// Fields of the WalletAccount. Amounts are in minor units.
func (WalletAccount) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.Enum("kind").Values("wallet", "gift_card").Immutable(),
		field.UUID("opened_for", uuid.UUID{}).Optional().Nillable().Immutable().Comment("the customer it was opened for; customer_id follows merges. Null: a gift card"),
		field.UUID("customer_id", uuid.UUID{}).Optional().Nillable(),
		field.Int64("principal").Default(0).Comment("paid in, to be spent now"),
		field.Int64("bonus").Default(0).Comment("given on top, to be spent now"),
		field.Int64("principal_blocked").Default(0),
		field.Int64("bonus_blocked").Default(0),
		field.Int64("entry_count").Default(0).Comment("the number of the last entry"),
		field.Time("due_at").Optional().Nillable().Comment("no bonus expires before"),
		field.Time("frozen_at").Optional().Nillable(),
		field.String("frozen_reason").Default("").MaxLen(500),
		field.String("pin_hash").Default("").Sensitive(),
		field.Int("pin_failures").Default(0).Comment("wrong PINs since the last right one"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the WalletAccount.
func (WalletAccount) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("opened_for").Unique().Annotations(entsql.IndexWhere("opened_for IS NOT NULL")).StorageKey("wallet_accounts_opened_for_key"),
		index.Fields("customer_id").Annotations(entsql.IndexWhere("customer_id IS NOT NULL")).StorageKey("wallet_accounts_customer_idx"),
		index.Fields("due_at", "id").Annotations(entsql.IndexWhere("due_at IS NOT NULL")).StorageKey("wallet_accounts_due_idx"),
	}
}

// Annotations of the WalletAccount.
func (WalletAccount) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"wallet_accounts_amounts_check": "principal >= 0 AND bonus >= 0 AND principal_blocked >= 0 AND bonus_blocked >= 0",
		"wallet_accounts_owner_check":   "(kind = 'wallet') = (customer_id IS NOT NULL) AND (opened_for IS NULL) = (customer_id IS NULL)",
	})}
}

// Policy of the WalletAccount: read through its customer, members' own by themselves.
func (WalletAccount) Policy() ent.Policy { return scope.Everybody() }

// WalletLot is stored value that came at once: principal, or a bonus with the day
// on which it expires.
type WalletLot struct{ ent.Schema }

// Fields of the WalletLot. Amounts are in minor units.
func (WalletLot) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("account_id", uuid.UUID{}).Immutable(),
		field.Enum("kind").Values("principal", "bonus").Immutable(),
		field.Int64("amount").Comment("that came in all").Immutable(),
		field.Int64("available").Default(0),
		field.Int64("blocked").Default(0),
		field.UUID("top_up_id", uuid.UUID{}).Optional().Nillable().Immutable().Comment("null: not paid in by its owner, such as a transfer"),
		field.Time("expires_at").Optional().Nillable(),
		field.Time("warn_at").Optional().Nillable().Comment("when its owner is told next that it expires"),
		field.Time("created_at").Default(time.Now).Immutable(),
	}
}

// Edges of the WalletLot.
func (WalletLot) Edges() []ent.Edge {
	return []ent.Edge{edge.To("account", WalletAccount.Type).Field("account_id").Unique().Required().Immutable()}
}

// Indexes of the WalletLot.
func (WalletLot) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("account_id", "id").StorageKey("wallet_lots_account_idx"),
		index.Fields("account_id", "kind", "expires_at", "id").Annotations(entsql.IndexWhere("available > 0")).StorageKey("wallet_lots_available_idx"),
		index.Fields("top_up_id").Annotations(entsql.IndexWhere("top_up_id IS NOT NULL")).StorageKey("wallet_lots_top_up_idx"),
		index.Fields("warn_at", "id").Annotations(entsql.IndexWhere("warn_at IS NOT NULL")).StorageKey("wallet_lots_warn_idx"),
	}
}

// Annotations of the WalletLot.
func (WalletLot) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"wallet_lots_amounts_check": "amount > 0 AND available >= 0 AND blocked >= 0 AND available + blocked <= amount",
		"wallet_lots_expiry_check":  "kind = 'bonus' OR expires_at IS NULL",
	})}
}

// Policy of the WalletLot: read through its account.
func (WalletLot) Policy() ent.Policy { return scope.Everybody() }

// WalletEntry is a line of an account's statement: what happened to its money and
// what there was then. Entries only grow; their numbers in an account have no gaps.
type WalletEntry struct{ ent.Schema }

// Fields of the WalletEntry. Amounts are in minor units.
func (WalletEntry) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("operation_id", uuid.UUID{}).Immutable().Comment("entries of one operation over several accounts share it"),
		field.UUID("account_id", uuid.UUID{}).Immutable(),
		field.Int64("number").Immutable().Comment("in its account, from 1"),
		field.Enum("kind").Values("top_up", "top_up_refund", "pay", "block", "capture", "release", "refund", "expire", "adjust", "transfer_out", "transfer_in", "card_sold", "card_cancelled", "card_out", "card_in").Immutable(),
		field.Int64("principal_change").Immutable(),
		field.Int64("bonus_change").Immutable(),
		field.Int64("blocked_change").Immutable(),
		field.Int64("principal_after").Immutable(),
		field.Int64("bonus_after").Immutable(),
		field.Int64("blocked_after").Immutable(),
		field.UUID("payment_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.UUID("top_up_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.UUID("order_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.String("reason").Default("").MaxLen(500).Immutable(),
		field.String("actor_kind").MaxLen(20).Immutable(),
		field.UUID("actor_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.Time("occurred_at").Immutable(),
		field.Time("created_at").Default(time.Now).Immutable(),
	}
}

// Edges of the WalletEntry.
func (WalletEntry) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("account", WalletAccount.Type).Field("account_id").Unique().Required().Immutable(),
		edge.From("postings", WalletPosting.Type).Ref("entry"),
	}
}

// Indexes of the WalletEntry.
func (WalletEntry) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("account_id", "number").Unique().StorageKey("wallet_entries_account_key"),
		index.Fields("account_id", "id").StorageKey("wallet_entries_statement_idx"),
		index.Fields("payment_id").Annotations(entsql.IndexWhere("payment_id IS NOT NULL")).StorageKey("wallet_entries_payment_idx"),
		index.Fields("order_id").Annotations(entsql.IndexWhere("order_id IS NOT NULL")).StorageKey("wallet_entries_order_idx"),
	}
}

// Policy of the WalletEntry: read through its account.
func (WalletEntry) Policy() ent.Policy { return scope.Everybody() }

// WalletPosting moves money from one book to another: double entry, whose two
// sides are equal by construction. Postings only grow.
type WalletPosting struct{ ent.Schema }

var walletBooks = []string{"principal", "bonus", "principal_blocked", "bonus_blocked", "cash_in", "refunded", "marketing", "adjusted", "spent", "expired", "moved"}

// Fields of the WalletPosting.
func (WalletPosting) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("entry_id", uuid.UUID{}).Immutable(),
		field.UUID("account_id", uuid.UUID{}).Immutable(),
		field.UUID("lot_id", uuid.UUID{}).Immutable(),
		field.Enum("from_book").Values(walletBooks...).Immutable(),
		field.Enum("to_book").Values(walletBooks...).Immutable(),
		field.Int64("amount").Immutable(),
		field.Time("created_at").Default(time.Now).Immutable(),
	}
}

// Edges of the WalletPosting.
func (WalletPosting) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("entry", WalletEntry.Type).Field("entry_id").Unique().Required().Immutable(),
		edge.To("account", WalletAccount.Type).Field("account_id").Unique().Required().Immutable(),
		edge.To("lot", WalletLot.Type).Field("lot_id").Unique().Required().Immutable(),
	}
}

// Indexes of the WalletPosting.
func (WalletPosting) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("entry_id").StorageKey("wallet_postings_entry_idx"),
		index.Fields("lot_id").StorageKey("wallet_postings_lot_idx"),
	}
}

// Annotations of the WalletPosting.
func (WalletPosting) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{"wallet_postings_amount_check": differs})}
}

// Policy of the WalletPosting: read with its entry.
func (WalletPosting) Policy() ent.Policy { return scope.Authenticated() }

// PaidLot is how much of a lot a payment has.
type PaidLot struct {
	LotID     uuid.UUID `json:"lot_id"`
	AccountID uuid.UUID `json:"account_id"`
	Kind      string    `json:"kind"`
	Amount    int64     `json:"amount"`             // taken, or promised
	Captured  int64     `json:"captured,omitempty"` // of it spent
	Refunded  int64     `json:"refunded,omitempty"` // of that come back
}

// WalletPayment is stored value that was spent or is promised, and which lots it is
// of, so that it can come back as the same.
type WalletPayment struct{ ent.Schema }

// Fields of the WalletPayment. Amounts are in minor units.
func (WalletPayment) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("customer_id", uuid.UUID{}).Optional().Nillable().Comment("null: paid by a gift card"),
		field.UUID("gift_card_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.Enum("status").Values("blocked", "captured", "released", "expired").Default("blocked"),
		field.Bool("pro_rata").Default(false).Immutable().Comment("bonus and principal come back in the proportion in which they were spent"),
		field.Int64("amount").Immutable(),
		field.Int64("captured").Default(0),
		field.Int64("refunded").Default(0),
		field.JSON("lots", []PaidLot{}),
		field.String("reason").Default("").MaxLen(500),
		field.String("reference").Default("").MaxLen(120).Comment("the caller's word for what it is for"),
		field.UUID("order_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.UUID("order_payment_id", uuid.UUID{}).Optional().Nillable().Immutable().Comment("which of the order's payments this is"),
		field.Time("expires_at").Optional().Nillable().Comment("what is promised is released then; null once that is settled"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the WalletPayment.
func (WalletPayment) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("customer_id", "id").Annotations(entsql.IndexWhere("customer_id IS NOT NULL")).StorageKey("wallet_payments_customer_idx"),
		index.Fields("gift_card_id", "id").Annotations(entsql.IndexWhere("gift_card_id IS NOT NULL")).StorageKey("wallet_payments_card_idx"),
		index.Fields("expires_at", "id").Annotations(entsql.IndexWhere("expires_at IS NOT NULL")).StorageKey("wallet_payments_due_idx"),
		index.Fields("order_payment_id").Unique().Annotations(entsql.IndexWhere("order_payment_id IS NOT NULL")).StorageKey("wallet_payments_order_payment_key"),
	}
}

// Annotations of the WalletPayment.
func (WalletPayment) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"wallet_payments_amounts_check": "amount > 0 AND captured >= 0 AND captured <= amount AND refunded >= 0 AND refunded <= captured",
		"wallet_payments_payer_check":   "(customer_id IS NULL) <> (gift_card_id IS NULL)",
	})}
}

// Policy of the WalletPayment: read through its customer.
func (WalletPayment) Policy() ent.Policy { return scope.Everybody() }

// WalletTopUp is money paid into a wallet, and the bonus given for it.
type WalletTopUp struct{ ent.Schema }

// Fields of the WalletTopUp. Amounts are in minor units.
func (WalletTopUp) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("customer_id", uuid.UUID{}),
		field.UUID("account_id", uuid.UUID{}).Immutable(),
		field.Int64("amount").Immutable(),
		field.Int64("bonus").Default(0).Immutable(),
		field.String("method").NotEmpty().MaxLen(32).Immutable().Comment("cash, card, wechat_pay, alipay, other"),
		field.String("reference").Default("").MaxLen(120).Immutable().Comment("of the terminal or bank"),
		field.UUID("store_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.Int64("refunded").Default(0).Comment("of the amount, given up by the member"),
		field.Int64("paid_out").Default(0).Comment("of that, money given back: less what was missing of the bonus"),
		field.Int64("bonus_taken").Default(0).Comment("of the bonus, taken back"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the WalletTopUp.
func (WalletTopUp) Indexes() []ent.Index {
	return []ent.Index{index.Fields("customer_id", "id").StorageKey("wallet_top_ups_customer_idx")}
}

// Annotations of the WalletTopUp.
func (WalletTopUp) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"wallet_top_ups_amounts_check": "amount > 0 AND bonus >= 0 AND refunded >= 0 AND refunded <= amount AND paid_out >= 0 AND paid_out <= refunded AND bonus_taken >= 0 AND bonus_taken <= bonus",
	})}
}

// Policy of the WalletTopUp: read through its customer.
func (WalletTopUp) Policy() ent.Policy { return scope.Authenticated() }

// WalletAdjustment is stored value given or taken by hand.
type WalletAdjustment struct{ ent.Schema }

// Fields of the WalletAdjustment.
func (WalletAdjustment) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("customer_id", uuid.UUID{}),
		field.Enum("part").Values("principal", "bonus").Immutable(),
		field.Int64("amount").Immutable().Comment("in minor units; below zero: taken"),
		field.String("reason").NotEmpty().MaxLen(500).Immutable(),
		field.Enum("status").Values("awaiting_approval", "booked", "rejected").Default("booked"),
		field.UUID("requested_by", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.UUID("decided_by", uuid.UUID{}).Optional().Nillable(),
		field.Time("decided_at").Optional().Nillable(),
		field.String("decision_note").Default("").MaxLen(500),
		field.UUID("operation_id", uuid.UUID{}).Optional().Nillable().Comment("of the entries that booked it"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the WalletAdjustment.
func (WalletAdjustment) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("customer_id", "id").StorageKey("wallet_adjustments_customer_idx"),
		index.Fields("id").Annotations(entsql.IndexWhere("status = 'awaiting_approval'")).StorageKey("wallet_adjustments_awaiting_idx"),
	}
}

// Annotations of the WalletAdjustment.
func (WalletAdjustment) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{"wallet_adjustments_amount_check": "amount <> 0"})}
}

// Policy of the WalletAdjustment: read through its customer.
func (WalletAdjustment) Policy() ent.Policy { return scope.Authenticated() }

// GiftCardBatch is gift cards that were issued together.
type GiftCardBatch struct{ ent.Schema }

// Fields of the GiftCardBatch.
func (GiftCardBatch) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("name").NotEmpty().MaxLen(60).Immutable(),
		field.Int("quantity").Positive().Immutable(),
		field.Int("issued").Default(0).Comment("cards that are there"),
		field.Int64("face_amount").Positive().Immutable().Comment("of each card, in minor units"),
		field.Bool("with_pin").Default(true).Immutable(),
		field.Enum("status").Values("issuing", "ready", "exported", "cancelled").Default("issuing"),
		field.UUID("job_id", uuid.UUID{}).Optional().Nillable(),
		field.Time("exported_at").Optional().Nillable(),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Policy of the GiftCardBatch.
func (GiftCardBatch) Policy() ent.Policy { return scope.Authenticated() }

// GiftCard is a card that carries stored value once it is sold.
type GiftCard struct{ ent.Schema }

// Fields of the GiftCard.
func (GiftCard) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("batch_id", uuid.UUID{}).Immutable(),
		field.Int("number").Immutable().Comment("in its batch, from 1"),
		field.Bytes("code_hash").Sensitive().Immutable().Comment("keyed hash of the code, which nobody keeps"),
		field.String("last4").MaxLen(4).Immutable(),
		field.Bytes("pin_hash").Optional().Nillable().Sensitive().Immutable().Comment("keyed hash of card and PIN"),
		field.Int("pin_failures").Default(0).Comment("wrong PINs since the last right one"),
		field.Bytes("secret_sealed").Optional().Nillable().Sensitive().Comment("code and PIN until they are exported"),
		field.Enum("status").Values("issued", "active", "frozen", "cancelled").Default("issued"),
		field.UUID("account_id", uuid.UUID{}).Optional().Nillable().Comment("what is on it; null until it is sold"),
		field.String("sale_method").Default("").MaxLen(32),
		field.String("sale_reference").Default("").MaxLen(120),
		field.UUID("store_id", uuid.UUID{}).Optional().Nillable().Comment("where it was sold"),
		field.Time("activated_at").Optional().Nillable(),
		field.Time("valid_until").Optional().Nillable().Comment("it pays before then; null: for ever. What is on it stays, and can be had by extending it"),
		field.String("reason").Default("").MaxLen(500).Comment("of the last freeze, extension or cancellation"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the GiftCard.
func (GiftCard) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("batch", GiftCardBatch.Type).Field("batch_id").Unique().Required().Immutable(),
		edge.To("account", WalletAccount.Type).Field("account_id").Unique(),
	}
}

// Indexes of the GiftCard.
func (GiftCard) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("code_hash").Unique().StorageKey("gift_cards_code_key"),
		index.Fields("batch_id", "number").Unique().StorageKey("gift_cards_number_key"),
		index.Fields("account_id").Unique().Annotations(entsql.IndexWhere("account_id IS NOT NULL")).StorageKey("gift_cards_account_key"),
		index.Fields("last4", "id").StorageKey("gift_cards_last4_idx"),
	}
}

// Policy of the GiftCard: of the whole business, as money is.
func (GiftCard) Policy() ent.Policy { return scope.Everybody() }
