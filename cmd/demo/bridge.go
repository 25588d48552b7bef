package main

import (
	"context"
	"fmt"
	"net/url"
)

// bridge adds up what the service holds, page by page through its API, and
// lays it beside the file: every row of the file is in exactly one line of the
// table. A difference of one minor unit is an error.
func (d *demo) bridge(ctx context.Context, history []line, report string) error {
	type sum struct {
		rows   int
		amount int64
	}
	out := map[string]*sum{}
	at := func(name string) *sum {
		if out[name] == nil {
			out[name] = &sum{}
		}
		return out[name]
	}
	var all, sales, returns sum
	anonymous := 0
	for _, l := range history {
		all.rows++
		all.amount += l.amount()
		switch {
		case l.rule != "":
			at(l.rule).rows++
			at(l.rule).amount += l.amount()
		case l.quantity < 0:
			returns.rows++
			returns.amount += l.amount()
		default:
			sales.rows++
			sales.amount += l.amount()
		}
		if l.rule == "" && l.customer == "" {
			anonymous++
		}
	}
	orders, orderTotal, err := d.total(ctx, "/v1/orders")
	if err != nil {
		return err
	}
	back, backTotal, err := d.total(ctx, "/v1/returns")
	if err != nil {
		return err
	}
	fmt.Printf("\n%-66s %8s %16s\n", "From the file to the service", "rows", "amount (yuan)")
	row := func(name string, s sum) { fmt.Printf("%-66s %8d %16s\n", name, s.rows, yuan(s.amount)) }
	row("all rows", all)
	for _, r := range rules {
		row("  kept out: "+r, *at(r))
	}
	row("  loaded as sales", sales)
	row("  loaded as returns", returns)
	fmt.Printf("%-66s %8d\n", "  of the loaded rows, without a customer (anonymous tickets)", anonymous)
	fmt.Printf("\n%-66s %8s %16s\n", "In the service, added up through the API", "tickets", "amount (yuan)")
	fmt.Printf("%-66s %8d %16s\n", "  orders", orders, yuan(orderTotal))
	fmt.Printf("%-66s %8d %16s\n", "  returns", back, yuan(-backTotal))
	fmt.Printf("The rows recognised as duplicates are listed in %s.\n", report)
	if orderTotal != sales.amount || backTotal != -returns.amount {
		return fmt.Errorf("the sums differ: sales %s, orders %s; returns %s, returns in the service %s",
			yuan(sales.amount), yuan(orderTotal), yuan(-returns.amount), yuan(backTotal))
	}
	fmt.Println("The sums agree to the fen.")
	return nil
}

// total adds up the tickets of the demo's stores.
func (d *demo) total(ctx context.Context, path string) (n int, amount int64, err error) {
	for _, s := range d.stores {
		for cursor := ""; ; {
			q := url.Values{"limit": {"200"}, "store_id": {s.ID}}
			if cursor != "" {
				q.Set("cursor", cursor)
			}
			var page list[struct {
				TotalAmount int64 `json:"total_amount"`
			}]
			if err := d.api.call(ctx, "GET", path+"?"+q.Encode(), "", nil, &page); err != nil {
				return 0, 0, err
			}
			for _, o := range page.Items {
				n++
				amount += o.TotalAmount
			}
			if cursor = page.NextCursor; cursor == "" {
				break
			}
		}
	}
	return n, amount, nil
}

func yuan(fen int64) string {
	sign := ""
	if fen < 0 {
		sign, fen = "-", -fen
	}
	return fmt.Sprintf("%s%d.%02d", sign, fen/100, fen%100)
}

// tryThis prints five requests that work on what was just loaded.
func (d *demo) tryThis(ctx context.Context, history []line) error {
	// The loaded customer with the latest purchase makes the best example.
	var best line
	for _, l := range history {
		if l.customer != "" && l.rule == "" && l.quantity > 0 && l.at.After(best.at) {
			best = l
		}
	}
	var card struct {
		ID          string `json:"id"`
		PhoneMasked string `json:"phone"`
	}
	if err := d.api.call(ctx, "POST", "/v1/customers/lookup", "", map[string]any{"external_id": externalID(best.customer)}, &card); err != nil {
		return err
	}
	last4 := card.PhoneMasked[max(0, len(card.PhoneMasked)-4):]
	base := d.api.base
	fmt.Printf(`
Five things to try, after
   export SHUKE_API_KEY=$(bin/shuke admin api-key --name try --expires 24h)
Documentation: %[1]s/docs

1. The customer whose phone ends in %[2]s, found over a blind index:
   curl -s -H "Authorization: Bearer $SHUKE_API_KEY" "%[1]s/v1/customers?phone_last4=%[2]s"

2. The 360° profile of one of them:
   curl -s -H "Authorization: Bearer $SHUKE_API_KEY" %[1]s/v1/customers/%[3]s/profile

3. A family name in pinyin, two letters or more:
   curl -s -H "Authorization: Bearer $SHUKE_API_KEY" -H "Content-Type: application/json" -d '{"name":"wang","limit":5}' %[1]s/v1/customers/search

4. What the person is really called; the view is written to the audit log:
   curl -s -H "Authorization: Bearer $SHUKE_API_KEY" -H "Content-Type: application/json" -d '{"fields":["name","phone"],"reason":"called back about an order"}' %[1]s/v1/customers/%[3]s/reveal
   curl -s -H "Authorization: Bearer $SHUKE_API_KEY" "%[1]s/v1/audit-logs?object_id=%[3]s"

5. Loyal, dormant and all the others, by recency, frequency and spend:
   curl -s -H "Authorization: Bearer $SHUKE_API_KEY" %[1]s/v1/rfm/distribution
`, base, last4, card.ID)
	if d.created {
		fmt.Printf("\nStaff were made with the password %s: manager-a, manager-b, assistant-a1, assistant-a2, assistant-b1, assistant-b2\n(POST /v1/auth/login).\n", d.password)
	}
	return nil
}
