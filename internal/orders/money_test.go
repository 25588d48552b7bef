package orders

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSharesOfLargeAmounts(t *testing.T) {
	require.EqualValues(t, 33, share(100, 1, 3))
	require.EqualValues(t, 0, share(0, 1, 3))
	require.EqualValues(t, maxPrice*(maxQuantity-1), share(maxPrice*maxQuantity, maxQuantity-1, maxQuantity), "the product is beyond an int64")
}
