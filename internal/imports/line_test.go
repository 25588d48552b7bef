package imports_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
)

// Batches are worked on beside each other, and the end is as if they had been
// one after the other: rows that name the same customer take effect in the
// order of the file, even when the later batch holds the customer first and
// both must begin again.
func TestImportBatchesAbreast(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	old := app.Customer(map[string]any{"external_id": "OLD", "phone": "13900000001", "name": "旧名"})
	const rows = 4200
	var file strings.Builder
	file.WriteString("外部编号,姓名,手机,性别\n")
	wrong := 0
	for i := range rows {
		switch {
		case i%1000 == 7: // by the same identifier in each batch
			fmt.Fprintf(&file, "SAME,甲%d,,\n", i/1000)
		case i == 998: // the last row but one of a batch that has much to do
			file.WriteString("OLD,乙0,,\n")
		case i == 1001: // the same customer by another identifier, in a batch with little to do
			file.WriteString(",乙1,13900000001,\n")
		case i >= 1000 && i < 2000:
			wrong++
			fmt.Fprintf(&file, "W-%d,丙,,妖\n", i)
		default:
			fmt.Fprintf(&file, "N-%d,丁,1381%07d,\n", i, i)
		}
	}
	done := ended(t, admin, started(upload(t, admin, []byte(file.String()), "duplicates", "update")).ID)
	require.Equal(t, "succeeded", done.Status)
	fresh := rows - wrong - 5 - 2
	require.Equal(t, counts{Created: int64(fresh + 1), Updated: 4 + 2, Failed: int64(wrong)}, done.Counts)
	require.EqualValues(t, rows+1, done.LastRow)

	name := func(id string) any {
		return admin.Do("POST", "/v1/customers/"+id+"/reveal", map[string]any{"fields": []string{"name"}, "reason": "check"}).Want(200).Map()["name"]
	}
	require.Equal(t, "乙1", name(old.Id.String()))
	same := admin.Do("GET", "/v1/customers?external_id=SAME", nil).Want(200).Map()["items"].([]any)
	require.Len(t, same, 1)
	require.Equal(t, "甲4", name(same[0].(map[string]any)["id"].(string)))
	var people int
	require.NoError(t, app.DB.QueryRow(system(t), "SELECT count(*) FROM customers").Scan(&people))
	require.Equal(t, fresh+2, people)
}
