package inventory

import "github.com/shuke-crm/shuke/internal/platform/apperr"

// Kinds of movement.
const (
	KindReceipt     = "receipt"
	KindSale        = "sale"
	KindReturn      = "return"
	KindDamage      = "damage"
	KindRepair      = "repair"
	KindDisposal    = "disposal"
	KindAdjustment  = "adjustment"
	KindTransferOut = "transfer_out"
	KindTransferIn  = "transfer_in"
	KindCount       = "count"
)

// effect is how a fact of a kind changes the pieces fit for sale and the
// damaged ones. Error: ErrQuantity, ErrNoChange.
func effect(kind string, quantity int64) (onHand, damaged int64, wrong *apperr.Definition) {
	if kind == KindAdjustment {
		if quantity == 0 {
			return 0, 0, ErrNoChange
		}
		return quantity, 0, nil
	}
	if quantity <= 0 {
		return 0, 0, ErrQuantity
	}
	switch kind {
	case KindSale:
		return -quantity, 0, nil
	case KindDamage:
		return -quantity, quantity, nil
	case KindRepair:
		return quantity, -quantity, nil
	case KindDisposal:
		return 0, -quantity, nil
	default: // receipt, return
		return quantity, 0, nil
	}
}
