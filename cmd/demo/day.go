package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// dayInShop is a new shop on one day. The first error ends the day.
type dayInShop struct {
	ctx   context.Context
	api   *api
	fakes *api
	run   string // makes codes and keys of this day unique
	store string
	keys  int
	err   error
}

type object = map[string]any

// do sends a request of the day and returns the answer.
func (d *dayInShop) do(method, path string, in any) (out object) {
	if d.err != nil {
		return object{}
	}
	d.keys++
	key := ""
	if method == http.MethodPost {
		key = fmt.Sprintf("day-%s-%d", d.run, d.keys)
	}
	if d.err = d.api.call(d.ctx, method, path, key, in, &out); d.err != nil {
		d.err = fmt.Errorf("%s %s: %w", method, path, d.err)
	}
	return out
}

// must ends the day where something is not as it should be.
func (d *dayInShop) must(what string, got, want any) {
	if d.err == nil && fmt.Sprint(got) != fmt.Sprint(want) {
		d.err = fmt.Errorf("%s: %v, should be %v", what, got, want)
	}
}

// say tells what has happened, and what the store has of the first article now.
func (d *dayInShop) say(what string) {
	found := d.do(http.MethodGet, "/v1/stock-levels?store_id="+d.store+"&sku="+d.sku(0), nil)
	if d.err != nil {
		return
	}
	level := object{}
	if items, _ := found["items"].([]any); len(items) == 1 {
		level = items[0].(object)
	}
	fmt.Printf("  %-74s on hand %3v  reserved %2v  damaged %v\n", what, level["on_hand"], level["reserved"], level["damaged"])
}

func (d *dayInShop) sku(n int) string { return fmt.Sprintf("DAY-%s-%d", d.run, n) }

func text(o object, name string) string { s, _ := o[name].(string); return s }

func first(o object, list, name string) string {
	items, _ := o[list].([]any)
	if len(items) == 0 {
		return ""
	}
	return text(items[0].(object), name)
}

// aDay takes a new shop through a day by the public API.
func aDay(ctx context.Context, a *api, fakes, program string) error {
	if a.key == "" {
		return errors.New("set SHUKE_API_KEY, for example to the output of: bin/shuke admin api-key --name demo")
	}
	if !strings.Contains(fakes, "://") {
		fakes = "http://" + fakes
	}
	d := &dayInShop{ctx: ctx, api: a, fakes: &api{base: fakes, http: a.http}, run: time.Now().Format("0102150405")}
	fmt.Printf("A day in a shop at %s, article %s\n", a.base, d.sku(0))
	d.store = text(d.do(http.MethodPost, "/v1/stores", object{"code": "DAY-" + d.run, "name": "一天店"}), "id")
	buyer := text(d.do(http.MethodPost, "/v1/customers", object{"name": "韩梅梅", "phone": "139" + d.run[2:], "external_id": "DAY-" + d.run, "home_store_id": d.store}), "id")
	for n, title := range []string{"白衬衫 M", "白衬衫 L", "围巾"} {
		d.do(http.MethodPost, "/v1/products", object{"title": title, "variants": []object{{"sku": d.sku(n), "price_amount": 19900}}})
	}
	d.do(http.MethodPost, "/v1/stock-movements", object{"store_id": d.store, "kind": "receipt", "external_number": "LS-" + d.run,
		"lines": []object{{"sku": d.sku(0), "quantity": 20}, {"sku": d.sku(1), "quantity": 10}, {"sku": d.sku(2), "quantity": 5}}})
	d.say("08:30 goods come in")

	results := d.do(http.MethodPost, "/v1/pos/orders", object{"orders": []object{{"store_id": d.store, "external_number": "T1", "placed_at": time.Now().Format(time.RFC3339), "customer": object{"id": buyer},
		"payments": []object{{"method": "cash", "amount": 37800}}, "lines": []object{{"sku": d.sku(0), "quantity": 2, "unit_price_amount": 19900, "discount_amount": 2000}}}}})
	sold := first(results, "results", "order_id")
	d.say("10:12 the till sells two, at a discount")

	order := d.do(http.MethodPost, "/v1/orders", object{"store_id": d.store, "channel": "mini_program", "customer_id": buyer,
		"recipient": object{"name": "韩梅梅", "phone": "13900139000", "address": object{"country": "CN", "city": "上海市", "line1": "淮海中路 1 号"}},
		"lines":     []object{{"sku": d.sku(0), "quantity": 3}, {"sku": d.sku(2), "quantity": 1}}})
	d.must("a new order", text(order, "status"), "placed")
	d.say("11:40 the mini-program orders three, and a scarf")
	path := "/v1/orders/" + text(order, "id")
	payment := d.do(http.MethodPost, path+"/online-payments", object{"method": "wechat_pay", "kind": "native"})
	if d.err == nil {
		d.err = d.fakes.call(ctx, http.MethodPost, "/_control/pay/pay", "", object{"number": text(payment, "number")}, nil)
	}
	d.must("an order paid by WeChat Pay", text(d.do(http.MethodGet, path, nil), "status"), "paid")
	d.say("11:41 it is paid by WeChat Pay")
	d.do(http.MethodPost, path+"/shipments", object{"carrier": "sf", "tracking_number": "SF" + d.run})
	order = d.do(http.MethodPost, path+"/complete", nil)
	d.must("a delivered order", text(order, "status"), "completed")
	d.say("14:05 it is sent, and arrives")

	back := d.do(http.MethodPost, path+"/returns", object{"lines": []object{{"line_id": first(order, "lines", "id"), "quantity": 1, "reason_code": "defective"}}})
	ret := "/v1/returns/" + text(back, "id")
	d.do(http.MethodPost, ret+"/approve", nil)
	d.do(http.MethodPost, ret+"/receive", object{"lines": []object{{"return_line_id": first(back, "lines", "id"), "damaged_quantity": 1}}})
	d.do(http.MethodPost, ret+"/refund", object{})
	d.refunded(ret)
	d.say("16:20 one comes back damaged; WeChat Pay gives 199.00 back")

	if bought := d.do(http.MethodGet, "/v1/orders/"+sold, nil); d.err == nil {
		next := d.do(http.MethodPost, "/v1/orders/"+sold+"/exchanges", object{"return_lines": []object{{"line_id": first(bought, "lines", "id"), "quantity": 1, "reason_code": "wrong_size"}},
			"lines": []object{{"sku": d.sku(1), "quantity": 1}}, "payments": []object{{"method": "cash", "amount": 1000}}})
		d.must("an exchange for a dearer one", text(next, "status"), "completed")
	}
	d.say("17:30 one from the till is exchanged for another size; 10.00 are paid on top")

	count := "/v1/stock-counts/" + text(d.do(http.MethodPost, "/v1/stock-counts", object{"store_id": d.store}), "id")
	d.do(http.MethodPost, count+"/lines", object{"lines": []object{{"sku": d.sku(0), "counted_quantity": 15}}})
	d.do(http.MethodPost, count+"/submit", nil)
	d.say("20:00 the shelf is counted: one is missing, somebody else has to approve that")
	if d.err != nil {
		return d.err
	}
	cmd := exec.CommandContext(ctx, program, "verify")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	fmt.Println("\nThe service's own check:")
	return cmd.Run()
}

// refunded waits until the provider has given the money of a return back.
func (d *dayInShop) refunded(path string) {
	for range 100 {
		if status := first(d.do(http.MethodGet, path, nil), "refunds", "status"); d.err != nil || status == "succeeded" {
			return
		}
		select {
		case <-d.ctx.Done():
			d.err = d.ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
	if d.err == nil {
		d.err = errors.New("the money was not given back within half a minute")
	}
}
