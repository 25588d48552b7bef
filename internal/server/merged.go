package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/shuke-crm/shuke/internal/contract"
	"github.com/shuke-crm/shuke/internal/customers"
)

// forMerged serves what is read below the id of a customer who was merged into
// another from that one, whose address Content-Location tells. Changes are not
// carried over: they were meant for a record that is part of another now, and
// are refused with the survivor's id. Only what would be answered with "not
// found" comes here, so all other requests pay nothing.
func (e *edge) forMerged(op *contract.Operation, next echo.HandlerFunc) echo.HandlerFunc {
	const base = "/v1/customers/{id}"
	if op.Path != base && !strings.HasPrefix(op.Path, base+"/") {
		return next
	}
	return func(c echo.Context) error {
		err := next(c)
		if !customers.ErrNotFound.Is(err) {
			return err
		}
		id, perr := uuid.Parse(c.Param("id"))
		if perr != nil {
			return err
		}
		by, serr := e.survivor(c.Request().Context(), id)
		if serr != nil {
			return serr
		}
		if by == uuid.Nil {
			return err
		}
		if op.Method != http.MethodGet {
			return customers.ErrMerged.New().With("survivor_id", by)
		}
		values := slices.Clone(c.ParamValues())
		values[slices.Index(c.ParamNames(), "id")] = by.String()
		c.Response().Header().Set("Content-Location", strings.Replace(c.Request().URL.EscapedPath(), c.Param("id"), by.String(), 1))
		c.SetParamValues(values...)
		return next(c)
	}
}
