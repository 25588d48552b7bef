package testkit

import (
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/api/client"
)

// StaffPassword is the password of everybody that Staff makes.
const StaffPassword = "nine quiet harbours"

// Scope is how far a role reaches.
type Scope struct {
	kind string
	id   uuid.UUID
}

// All is the whole business.
func All() Scope { return Scope{kind: "all"} }

// Own are the customers assigned to the person.
func Own() Scope { return Scope{kind: "own"} }

// InStore is one store.
func InStore(id uuid.UUID) Scope { return Scope{"store", id} }

// InRegion are all stores of a region.
func InRegion(id uuid.UUID) Scope { return Scope{"region", id} }

func (s Scope) grant(role string) map[string]any {
	g := map[string]any{"role": role, "scope": s.kind}
	switch s.kind {
	case "store":
		g["store_id"] = s.id
	case "region":
		g["region_id"] = s.id
	}
	return g
}

// Region makes a region.
func (a *App) Region() client.Region {
	a.T.Helper()
	n := a.made.Add(1)
	var out client.Region
	a.Admin().Do(http.MethodPost, "/v1/regions", map[string]any{"code": fmt.Sprintf("R%03d", n), "name": fmt.Sprintf("大区 %d", n)}).
		Want(http.StatusCreated).JSON(&out)
	return out
}

// Store makes a store; fields replace or add to those it makes up.
func (a *App) Store(fields ...map[string]any) client.Store {
	a.T.Helper()
	n := a.made.Add(1)
	body := map[string]any{"code": fmt.Sprintf("S%03d", n), "name": fmt.Sprintf("门店 %d", n)}
	var out client.Store
	a.Admin().Do(http.MethodPost, "/v1/stores", merged(body, fields)).Want(http.StatusCreated).JSON(&out)
	return out
}

// Staff makes a member of staff who holds a role.
func (a *App) Staff(role string, scope Scope, fields ...map[string]any) client.Staff {
	a.T.Helper()
	n := a.made.Add(1)
	body := map[string]any{
		"username": fmt.Sprintf("staff%d", n), "name": fmt.Sprintf("店员 %d", n), "password": StaffPassword,
		"must_change_password": false, "grants": []any{scope.grant(role)},
	}
	if scope.kind == "store" {
		body["store_id"] = scope.id
	}
	var out client.Staff
	a.Admin().Do(http.MethodPost, "/v1/staff", merged(body, fields)).Want(http.StatusCreated).JSON(&out)
	return out
}

// Customer makes a customer with a name and a mobile phone of their own;
// fields replace or add to those, nil removes one.
func (a *App) Customer(fields ...map[string]any) client.Customer {
	a.T.Helper()
	n := a.made.Add(1)
	body := map[string]any{"name": "李" + string(rune('一'+n%2000)) + "明", "phone": Phone(n)}
	var out client.Customer
	a.Admin().Do(http.MethodPost, "/v1/customers", merged(body, fields)).Want(http.StatusCreated).JSON(&out)
	return out
}

// Phone is the n-th mobile number of tests; they differ also in their last four.
func Phone(n int64) string { return fmt.Sprintf("139%08d", (n*7919+1234)%100000000) }

func merged(body map[string]any, more []map[string]any) map[string]any {
	for _, fields := range more {
		for name, v := range fields {
			if v == nil {
				delete(body, name)
				continue
			}
			body[name] = v
		}
	}
	return body
}
