package archtest

import (
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"
)

// owners says which package writes a table; everybody may read it. Tables of
// entities and of plain SQL alike.
var owners = map[string]string{
	"stores":      "internal/identity",
	"regions":     "internal/identity",
	"staff":       "internal/identity",
	"roles":       "internal/identity",
	"role_grants": "internal/identity",
	"delegations": "internal/identity",
	"sessions":    "internal/identity",

	"staff_factors":   "internal/identity",
	"factor_tries":    "internal/identity",
	"password_resets": "internal/identity",

	"api_keys":  "internal/identity",
	"merchants": "internal/merchants",

	"customers":          "internal/customers",
	"customer_addresses": "internal/customers",
	"family_members":     "internal/customers",
	"member_field_rules": "internal/customers",

	"customer_identities": "internal/member",
	"member_sessions":     "internal/member",
	"member_exchanges":    "internal/member",
	"consents":            "internal/member",
	"forms":               "internal/forms",
	"form_versions":       "internal/forms",
	"form_submissions":    "internal/forms",
	"consent_texts":       "internal/member",

	"tags":                 "internal/customers",
	"customer_tag_history": "internal/customers",

	"customer_lifecycle_changes": "internal/customers",

	"assignment_rules":       "internal/customers",
	"customer_groups":        "internal/customers",
	"customer_group_members": "internal/customers",

	"notes":         "internal/timeline",
	"note_mentions": "internal/timeline",
	"attachments":   "internal/timeline",
	"file_removals": "internal/timeline",

	"duplicate_candidates":    "internal/customers",
	"imports":                 "internal/imports",
	"import_errors":           "internal/imports",
	"import_reviews":          "internal/imports",
	"custom_fields":           "internal/customers",
	"customer_field_values":   "internal/customers",
	"validation_rules":        "internal/customers",
	"definition_revisions":    "internal/customers",
	"exports":                 "internal/imports",
	"customer_merges":         "internal/customers",
	"customer_merge_settings": "internal/customers",

	"customer_metrics": "internal/segments",
	"customer_days":    "internal/segments",
	"settings":         "internal/platform/settings",

	"customer_quality": "internal/analytics",
	"quality_passes":   "internal/analytics",

	"categories": "internal/catalog",
	"products":   "internal/catalog",
	"variants":   "internal/catalog",

	"variant_barcodes":       "internal/catalog",
	"catalog_settings":       "internal/catalog",
	"brands":                 "internal/catalog",
	"size_systems":           "internal/catalog",
	"product_search":         "internal/catalog",
	"product_pictures":       "internal/catalog",
	"price_lists":            "internal/catalog",
	"price_list_entries":     "internal/catalog",
	"variant_price_changes":  "internal/catalog",
	"product_status_changes": "internal/catalog",

	"stock_levels":            "internal/inventory",
	"stock_movements":         "internal/inventory",
	"stock_documents":         "internal/inventory",
	"stock_reservations":      "internal/inventory",
	"stock_reservation_lines": "internal/inventory",
	"stock_transfers":         "internal/inventory",
	"stock_transfer_lines":    "internal/inventory",
	"stock_counts":            "internal/inventory",
	"stock_count_lines":       "internal/inventory",

	"points_units":       "internal/points",
	"points_accounts":    "internal/points",
	"points_lots":        "internal/points",
	"points_entries":     "internal/points",
	"points_postings":    "internal/points",
	"points_holds":       "internal/points",
	"points_adjustments": "internal/points",

	"referral_codes": "internal/referrals",
	"referrals":      "internal/referrals",

	"points_partners":      "internal/points",
	"points_rules":         "internal/points",
	"points_rule_versions": "internal/points",
	"points_events":        "internal/points",
	"points_earnings":      "internal/points",
	"tiers":                "internal/membership",
	"tier_schemes":         "internal/membership",
	"memberships":          "internal/membership",
	"membership_changes":   "internal/membership",
	"membership_grants":    "internal/membership",

	"wallet_programmes":  "internal/wallets",
	"wallet_accounts":    "internal/wallets",
	"wallet_lots":        "internal/wallets",
	"wallet_entries":     "internal/wallets",
	"wallet_postings":    "internal/wallets",
	"wallet_payments":    "internal/wallets",
	"wallet_top_ups":     "internal/wallets",
	"wallet_adjustments": "internal/wallets",
	"gift_card_batches":  "internal/wallets",
	"gift_cards":         "internal/wallets",

	"rewards":            "internal/rewards",
	"reward_codes":       "internal/rewards",
	"reward_redemptions": "internal/rewards",

	"orders":             "internal/orders",
	"order_lines":        "internal/orders",
	"order_returns":      "internal/orders",
	"order_return_lines": "internal/orders",
	"pos_tickets":        "internal/orders",
	"order_changes":      "internal/orders",
	"order_payments":     "internal/orders",
	"order_refunds":      "internal/orders",
	"payment_callbacks":  "internal/orders",
	"return_reasons":     "internal/orders",
	"shipments":          "internal/orders",
	"shipment_lines":     "internal/orders",
	"tracking_events":    "internal/orders",
	"tracking_pushes":    "internal/orders",

	"jobs":             "internal/platform/jobs",
	"audit_logs":       "internal/platform/audit",
	"audit_seals":      "internal/platform/audit",
	"outbox_events":    "internal/platform/events",
	"idempotency_keys": "internal/server",
	"one_time_codes":   "internal/platform/otp",
	"outside_tokens":   "internal/platform/wechat",
	"sms_days":         "internal/platform/sms",
}

// exceptions are writes by another package than the owner, each with its reason.
var exceptions = map[string]string{
	"internal/operations/keys.go customers": "a rotation rewraps data_key and nothing else",
}

// entityTables maps an entity's Go name to its table.
var entityTables = map[string]string{
	"Store": "stores", "Region": "regions", "Merchant": "merchants", "Staff": "staff", "Role": "roles", "RoleGrant": "role_grants", "Delegation": "delegations",
	"OrderChange": "order_changes", "OrderPayment": "order_payments", "OrderRefund": "order_refunds", "PaymentCallback": "payment_callbacks",
	"ReturnReason": "return_reasons", "Shipment": "shipments", "ShipmentLine": "shipment_lines",
	"TrackingEvent": "tracking_events", "TrackingPush": "tracking_pushes",
	"Session": "sessions", "StaffFactor": "staff_factors", "APIKey": "api_keys", "Setting": "settings", "Job": "jobs",
	"Customer": "customers", "CustomerAddress": "customer_addresses", "FamilyMember": "family_members",
	"Form": "forms", "FormVersion": "form_versions", "FormSubmission": "form_submissions", "Tag": "tags", "ImportRun": "imports", "ExportRun": "exports", "CustomerMetrics": "customer_metrics",
	"Category": "categories", "Product": "products", "Variant": "variants",
	"VariantBarcode": "variant_barcodes", "CatalogSettings": "catalog_settings", "Brand": "brands", "SizeSystem": "size_systems", "PriceList": "price_lists", "PriceListEntry": "price_list_entries", "VariantPriceChange": "variant_price_changes", "ProductStatusChange": "product_status_changes", "ProductPicture": "product_pictures",
	"PointsUnit": "points_units", "PointsAccount": "points_accounts", "PointsLot": "points_lots", "PointsEntry": "points_entries", "PointsPosting": "points_postings", "PointsHold": "points_holds", "PointsAdjustment": "points_adjustments",
	"ReferralCode": "referral_codes", "Referral": "referrals",
	"PointsRule": "points_rules", "PointsPartner": "points_partners", "PointsRuleVersion": "points_rule_versions", "PointsEvent": "points_events", "PointsEarning": "points_earnings",
	"WalletProgramme": "wallet_programmes", "WalletAccount": "wallet_accounts", "WalletLot": "wallet_lots", "WalletEntry": "wallet_entries", "WalletPosting": "wallet_postings", "WalletPayment": "wallet_payments",
	"WalletTopUp": "wallet_top_ups", "WalletAdjustment": "wallet_adjustments", "GiftCardBatch": "gift_card_batches", "GiftCard": "gift_cards", "Reward": "rewards", "RewardCode": "reward_codes", "RewardRedemption": "reward_redemptions",
	"Tier": "tiers", "TierScheme": "tier_schemes", "Membership": "memberships", "MembershipChange": "membership_changes", "MembershipGrant": "membership_grants",
	"StockLevel": "stock_levels", "StockMovement": "stock_movements", "StockDocument": "stock_documents",
	"StockReservation": "stock_reservations", "StockReservationLine": "stock_reservation_lines",
	"StockTransfer": "stock_transfers", "StockTransferLine": "stock_transfer_lines", "StockCount": "stock_counts", "StockCountLine": "stock_count_lines",
	"CustomerIdentity": "customer_identities", "MemberSession": "member_sessions", "Consent": "consents", "ConsentText": "consent_texts",
	"Note": "notes", "NoteMention": "note_mentions", "Attachment": "attachments",
	"DuplicateCandidate": "duplicate_candidates", "CustomerMerge": "customer_merges",
	"Order": "orders", "OrderLine": "order_lines", "OrderReturn": "order_returns", "OrderReturnLine": "order_return_lines",
}

// rawSQL lists the only files that run SQL of their own, with what for. The
// privacy layer does not see these statements: each must add the scope itself
// or read what belongs to nobody in particular.
var rawSQL = map[string]string{
	"internal/server/idempotency.go": "keys and stored answers, in the request's own transaction",
	"internal/server/background.go":  "expired keys",

	"internal/identity/queries.go": "who somebody is, before there is an actor; administrators counted under a lock",

	"internal/customers/blocks.go":            "numbers of arrival, from a sequence",
	"internal/customers/bulk.go":              "archives rows that the caller's scope has been checked for, set-based",
	"internal/customers/create.go":            "who holds a phone or card already, beyond the scope; says so only where the caller may see",
	"internal/customers/dup.go":               "pairs, with the scope of both customers in the condition",
	"internal/customers/dup_scan.go":          "the search for pairs, as the system",
	"internal/customers/fields.go":            "definitions, which have no scope",
	"internal/customers/fields_held.go":       "whether any record has a value, beyond the scope; replaces a choice in all of them, as a change of the definition",
	"internal/customers/fields_jobs.go":       "replaces a choice in everybody, as a change of the definition",
	"internal/customers/fields_manage.go":     "definitions, under a lock; whether anybody has a value, beyond the scope",
	"internal/customers/handover.go":          "moves the rows of one assistant that the caller's scope covers, set-based",
	"internal/customers/http_profile_read.go": "the profile in one statement; its row is checked against the scope",
	"internal/customers/groups.go":            "groups have no scope; members counted and locked with the scope in the condition",
	"internal/customers/lifecycle.go":         "moves customers locked by their metrics; history of one that the caller's scope has been checked for",
	"internal/customers/assignment.go":        "rules, with the scope over their store in the condition; turns and loads under their lock",
	"internal/customers/assignment_apply.go":  "customers without an assistant, set-based, and rules, with the scope in the condition",
	"internal/customers/loads.go":             "customers counted by assistant, with the scope in the condition",
	"internal/customers/list.go":              "counts with the scope in the condition",
	"internal/customers/quality.go":           "judges everybody, as the system",
	"internal/customers/memberrules.go":       "one row, which has no scope",
	"internal/customers/merge.go":             "whole rows of two customers that the caller's scope has been checked for; merges with the survivor's scope in the condition",
	"internal/customers/merge_auto.go":        "pairs merged by the system under a setting of its own; each merge reads both customers through entities",
	"internal/customers/merge_pairs.go":       "pairs of the two customers of a merge",
	"internal/customers/merge_rows.go":        "rows of other domains that follow a merged customer, as their owners declare",
	"internal/customers/merge_undo.go":        "as merge.go",
	"internal/customers/resolve.go":           "tills: any customer by a full identifier",
	"internal/customers/rulesets.go":          "rules, which have no scope",
	"internal/customers/rulesets_manage.go":   "rules, and a trial on everybody, as the system; it names nobody beyond the caller's scope",
	"internal/customers/http_rulesets.go":     "rules counted, which have no scope",
	"internal/customers/search.go":            "blind indexes, with the scope in the condition",
	"internal/customers/stats.go":             "how common a search token is, from the planner's statistics",
	"internal/customers/survivor.go":          "who goes on in place of a merged customer; callers check the scope",
	"internal/customers/tags.go":              "tags have no scope; whether one is used",
	"internal/customers/tags_auto.go":         "judges everybody, as the system; definitions, which have no scope",
	"internal/customers/tags_ends.go":         "takes ended tags off, as the system; history of a customer that the caller's scope has been checked for",
	"internal/customers/write.go":             "set-based inserts, which only need an actor",

	"internal/timeline/queries.go": "mentions, with the scope of their notes in the condition; timelines, with that of each source; names of staff and API keys",

	"internal/timeline/removals.go": "files that are to go, which belong to nobody any more",

	"internal/imports/run.go":     "how long a batch waits for another one's rows",
	"internal/imports/queries.go": "bad rows of an import, which its caller has been checked for",
	"internal/imports/reviews.go": "held rows of an import, which its caller has been checked for",

	"internal/catalog/barcodes.go":     "variants by any of their codes; no scope",
	"internal/catalog/options.go":      "options of the variants of one locked product, set-based; no scope",
	"internal/catalog/brands.go":       "a brand by its name, made if unknown; no scope",
	"internal/catalog/search.go":       "products by anything, which have no scope",
	"internal/catalog/suggest.go":      "categories by the words of their products",
	"internal/catalog/categories.go":   "the tree, under a lock; no scope",
	"internal/catalog/history.go":      "who changes prices and why, for triggers",
	"internal/catalog/pricelists.go":   "prices of one list, which the caller's scope has been checked for, set-based",
	"internal/catalog/prices.go":       "prices, which have no scope",
	"cmd/bench/history.go":             "the hand-written reference that imports of orders are measured against",
	"cmd/bench/placing.go":             "the hand-written reference that placing orders is measured against",
	"internal/catalog/steps.go":        "set-based SKUs; no scope",
	"internal/inventory/counts.go":     "lines and sums of counts that were read through the policy",
	"internal/inventory/ledger.go":     "levels and ledger of one store, which the caller's scope has been checked for, set-based",
	"internal/inventory/movements.go":  "an advisory lock",
	"internal/inventory/sync.go":       "levels and ledger of one store, which the caller's scope has been checked for",
	"internal/inventory/steps.go":      "stock of the orders and tickets of a caller who was judged there, set-based",
	"internal/inventory/demand.go":     "levels and sales of one store, which the caller's scope has been checked for",
	"internal/customers/tiers.go":      "tiers that package membership has found, of customers it has locked, set-based",
	"internal/points/earned.go":        "sums for package membership, of customers it has read or locked",
	"internal/membership/service.go":   "versions of the scheme, which have no scope",
	"internal/membership/tiers.go":     "versions of the scheme, which have no scope, and an advisory lock",
	"internal/membership/queries.go":   "versions of the scheme, which have no scope",
	"internal/membership/facts.go":     "what customers bought and were granted whom the policy has been asked about, or as the system",
	"internal/membership/review.go":    "memberships of locked customers, set-based, as the system or for who was judged there",
	"internal/membership/birthdays.go": "members who have their birthday, as the system",
	"internal/membership/jobs.go":      "everybody, as the system",
	"internal/membership/merging.go":   "the two customers of a merge",
	"internal/points/journal.go":       "accounts and lots of customers whom the caller's scope has been checked for, set-based",
	"internal/points/due.go":           "accounts of which something is due, as the system",
	"internal/points/queries.go":       "a balance of a customer read through the policy",
	"internal/points/steps.go":         "what has been given for already, under the locks of its accounts",
	"internal/points/write.go":         "accounts, lots and ledger of an operation whose caller was judged there, set-based",
	"internal/referrals/programme.go":  "the lock of the terms of referrals",
	"internal/referrals/service.go":    "locks customers whom the caller's scope has been checked for",
	"internal/referrals/register.go":   "whether a customer read through the policy is new, and who brought whom",
	"internal/referrals/reward.go":     "limits and signs of fraud, as the system",
	"internal/customers/alike.go":      "whether two customers are likely one, for referrals",
	"internal/points/partners.go":      "sums of what partners' keys booked, for who reads the whole business",
	"internal/points/preview.go":       "the tier of a customer read through the policy",
	"internal/points/rulebook.go":      "rules, and whose stores and which categories they are about",
	"internal/points/rules_manage.go":  "whether what a rule names is there",
	"internal/points/happen.go":        "what has happened to a customer read through the policy, or as the system",
	"internal/points/earnings.go":      "what orders earn whose steps were judged there, set-based",
	"internal/points/expiring.go":      "accounts of which something expires soon, as the system",
	"internal/points/verify.go":        "sums over all points, for who reads the whole business",
	"internal/wallets/journal.go":      "accounts and lots of customers whom the caller's scope has been checked for, set-based",
	"internal/wallets/due.go":          "accounts and lots of which something is due, as the system",
	"internal/wallets/queries.go":      "a balance of a customer read through the policy",
	"internal/wallets/moving.go":       "the wallets of a customer read through the policy, locked",
	"internal/wallets/pin.go":          "the wallet of a customer read through the policy, whatever becomes of the caller's transaction",
	"internal/wallets/write.go":        "accounts, lots and ledger of an operation whose caller was judged there, set-based",
	"internal/wallets/verify.go":       "sums over all stored value, for who reads the whole business",
	"internal/rewards/redeem.go":       "a customer read through the policy, locked, and how often they have redeemed a reward",
	"internal/inventory/verify.go":     "sums over all stock, as the system",

	"internal/segments/jobs.go":      "recomputes everybody, as the system",
	"internal/segments/lifecycle.go": "settings have no scope; a preview counts everybody and names nobody",
	"internal/segments/merging.go":   "sums of two customers whose merge was permitted",
	"internal/segments/queries.go":   "distribution, with the scope in the condition",
	"internal/segments/settings.go":  "settings have no scope",
	"internal/segments/steps.go":     "set-based metrics of the customers of an order",
	"internal/segments/returns.go":   "one setting, and the metrics of a customer who was judged, in the transaction that changed them",

	"internal/orders/change.go":            "lines of an order that was read and locked through the policy",
	"internal/orders/place.go":             "a new order, its customer, and its number, set-based",
	"internal/orders/rows.go":              "a new order's rows, set-based",
	"internal/orders/stream.go":            "delivered events of a store that was judged, each shown by the reader's scope",
	"internal/orders/verify.go":            "sums over all orders, as the system",
	"internal/orders/private.go":           "the data key of the customer of an order that was read through the policy",
	"internal/orders/returning.go":         "returns of an order that was read and locked through the policy",
	"internal/orders/provider_payments.go": "payments and refunds whose time has come, for the clock",
	"internal/orders/callbacks.go":         "a notice is kept once",
	"internal/orders/tracking_push.go":     "a push is kept once",
	"internal/orders/chunk.go":             "tickets by their natural key, for tills",
	"internal/orders/ingest.go":            "stores, variants and staff that tickets name",
	"internal/orders/points.go":            "what is left of orders whose steps were judged, for their points",
	"internal/orders/links.go":             "returns find their orders, for tills",
	"internal/orders/merging.go":           "returns of orders that go back to their customer",
	"internal/orders/writer.go":            "set-based inserts",

	"internal/member/merging.go": "consents of two customers whose merge was permitted",
	"internal/member/queries.go": "who a member is, before there is an actor; names under a lock; sessions and exchanges set-based",

	"internal/analytics/jobs.go":    "judges everybody, as the system",
	"internal/analytics/queries.go": "figures and lists, with the scope in the condition",

	"internal/operations/keys.go":    "rewraps data keys, by the command line only",
	"internal/operations/manage.go":  "the head of the audit chain",
	"internal/operations/queries.go": "the audit log, with the scope in the condition",
	"internal/operations/verify.go":  "sums over everything, by the command line only",
}

// rawSQLFolders are packages below the domains whose business is the database.
var rawSQLFolders = []string{"internal/platform/", "internal/testkit", "internal/tools/", "internal/archtest"}

// write is one place that changes a table.
type write struct{ path, table string }

type scan struct {
	writes  []write
	queries map[string]bool // files that run SQL
	unknown []string        // entities without a table here
}

var (
	sqlWrite = regexp.MustCompile(`(?is)\b(?:INSERT\s+INTO|DELETE\s+FROM)\s+"?([a-z_]+)|\bUPDATE\s+(?:ONLY\s+)?"?([a-z_]+)"?(?:\s+AS)?(?:\s+[a-z_]+)?\s+SET\b`)
	entWrite = map[string]bool{
		"Create": true, "CreateBulk": true, "MapCreateBulk": true, "Update": true, "UpdateOne": true, "UpdateOneID": true,
		"Delete": true, "DeleteOne": true, "DeleteOneID": true,
	}
	sqlCalls = map[string]bool{
		"Query": true, "QueryRow": true, "Exec": true, "QueryContext": true, "QueryRowContext": true, "ExecContext": true, "PrepareContext": true,
	}
)

// scanned type-checks our own code (dependencies come from the build cache).
func scanned(t *testing.T) scan {
	t.Helper()
	base := root(t)
	fset := token.NewFileSet()
	loaded, err := packages.Load(&packages.Config{Mode: packages.LoadSyntax, Dir: base, Fset: fset, Tests: false}, "./internal/...", "./cmd/...")
	require.NoError(t, err)
	out := scan{queries: map[string]bool{}}
	for _, p := range loaded {
		for _, e := range p.Errors {
			t.Fatalf("%s does not compile: %v", p.PkgPath, e)
		}
		for _, f := range p.Syntax {
			rel, err := filepath.Rel(base, fset.Position(f.Pos()).Filename)
			require.NoError(t, err)
			out.file(filepath.ToSlash(rel), f, p.TypesInfo)
		}
	}
	return out
}

func (s *scan) file(path string, f *ast.File, info *types.Info) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				s.text(path, n.Value)
			}
		case *ast.CallExpr:
			sel, ok := n.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			fn, ok := info.Uses[sel.Sel].(*types.Func)
			if !ok {
				return true
			}
			s.call(path, fn)
		}
		return true
	})
}

func (s *scan) text(path, literal string) {
	for _, m := range sqlWrite.FindAllStringSubmatch(literal, -1) {
		table := strings.ToLower(m[1] + m[2])
		if _, ours := owners[table]; ours {
			s.writes = append(s.writes, write{path, table})
		}
	}
}

func (s *scan) call(path string, fn *types.Func) {
	recv := fn.Signature().Recv()
	if recv == nil {
		return
	}
	typ := recv.Type()
	if p, ok := typ.(*types.Pointer); ok {
		typ = p.Elem()
	}
	named, ok := typ.(*types.Named)
	if !ok || named.Obj().Pkg() == nil {
		return
	}
	pkg, name := named.Obj().Pkg().Path(), named.Obj().Name()
	switch {
	case strings.HasPrefix(pkg, module+"ent/") && entWrite[fn.Name()]:
		entity := strings.TrimSuffix(name, "Client")
		if strings.HasSuffix(entity, "Mutation") || entity == "" {
			return
		}
		if table, ok := entityTables[entity]; ok {
			s.writes = append(s.writes, write{path, table})
		} else {
			s.unknown = append(s.unknown, path+": "+name)
		}
	case (pkg == module+"internal/platform/db" || pkg == "database/sql") && sqlCalls[fn.Name()]:
		s.queries[path] = true
	}
}

func TestTablesAndSQL(t *testing.T) {
	if testing.Short() {
		t.Skip("type-checks the whole program")
	}
	s := scanned(t)
	require.Empty(t, s.unknown, "entities without a row in entityTables")
	require.NotEmpty(t, s.writes)
	for _, w := range s.writes {
		if under(w.path, "internal/testkit") || w.path == "cmd/bench/placing.go" || w.path == "cmd/bench/history.go" || under(w.path, owners[w.table]) {
			continue
		}
		if _, ok := exceptions[w.path+" "+w.table]; ok {
			continue
		}
		t.Errorf("%s writes %s, which belongs to %s", w.path, w.table, owners[w.table])
	}
	for path := range s.queries {
		if rawSQL[path] == "" && !inFolders(path, rawSQLFolders) {
			t.Errorf("%s runs SQL of its own and is not in the list", path)
		}
	}
	for path := range rawSQL {
		if !s.queries[path] {
			t.Errorf("%s is listed as running SQL and does not", path)
		}
	}
}

func inFolders(path string, folders []string) bool {
	for _, f := range folders {
		if strings.HasPrefix(path, f) {
			return true
		}
	}
	return false
}

// Every table of a migration has an owner.
func TestEveryTableHasAnOwner(t *testing.T) {
	base := root(t)
	found := 0
	create := regexp.MustCompile(`(?m)^CREATE TABLE (?:IF NOT EXISTS )?"?([a-z_]+)"?`)
	paths, err := filepath.Glob(filepath.Join(base, "ent", "migrations", "*.sql"))
	require.NoError(t, err)
	for _, path := range paths {
		for _, m := range create.FindAllStringSubmatch(read(t, path), -1) {
			found++
			require.Contains(t, owners, m[1], "%s", path)
		}
	}
	require.GreaterOrEqual(t, found, len(entityTables))
}

// The pattern sees the ways in which SQL changes a table, and not a read.
func TestWritePattern(t *testing.T) {
	for text, table := range map[string]string{
		"INSERT INTO orders (id) VALUES ($1)":                      "orders",
		"INSERT INTO idempotency_keys AS k (a)":                    "idempotency_keys",
		"WITH x AS (SELECT 1) UPDATE customer_metrics m SET a = 1": "customer_metrics",
		"delete from pos_tickets where true":                       "pos_tickets",
	} {
		var s scan
		s.text("f.go", text)
		require.Len(t, s.writes, 1, text)
		require.Equal(t, table, s.writes[0].table)
	}
	for _, text := range []string{"SELECT 1 FROM orders FOR UPDATE", "SELECT * FROM orders FOR UPDATE OF orders"} {
		var s scan
		s.text("f.go", text)
		require.Empty(t, s.writes, text)
	}
}
