package inventory

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSuggestionsFollowDemandAndLeadTime(t *testing.T) {
	for name, at := range map[string]struct {
		d            Demand
		by           Supply
		point, order int64
	}{
		// Two a day without exception: 7 days of lead time are 14, no safety stock.
		"even demand, below the point":  {Demand{OnHand: 10, Sold: 56, squares: 28 * 4}, Supply{7, 14}, 14, 32},
		"even demand, at the point":     {Demand{OnHand: 14, Sold: 56, squares: 28 * 4}, Supply{7, 14}, 14, 28},
		"even demand, above the point":  {Demand{OnHand: 15, Sold: 56, squares: 28 * 4}, Supply{7, 14}, 14, 0},
		"what is on its way counts":     {Demand{OnHand: 5, Incoming: 10, Sold: 56, squares: 28 * 4}, Supply{7, 14}, 14, 0},
		"what is promised does not":     {Demand{OnHand: 20, Reserved: 10, Sold: 56, squares: 28 * 4}, Supply{7, 14}, 14, 32},
		"all on one day: safety stock":  {Demand{OnHand: 10, Sold: 56, squares: 56 * 56}, Supply{7, 14}, 60, 78},
		"nothing sold, nothing ordered": {Demand{OnHand: 0}, Supply{7, 14}, 0, 0},
	} {
		point, order := at.d.Suggest(28, at.by)
		require.Equal(t, []int64{at.point, at.order}, []int64{point, order}, name)
	}
}
