package pii

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMasks(t *testing.T) {
	for name, c := range map[string]struct {
		mask func(string) string
		want map[string]string
	}{
		"phone": {MaskPhone, map[string]string{
			"+8613800000000": "138****0000", "+861062345678": "010****5678", "+8675523456789": "0755****6789",
			"+85291234567": "+852****4567", "+886912345678": "+886****5678", "+12015550123": "+1****0123",
			"+864008001234": "****1234", "": "****", "broken": "****", "+861": "****",
		}},
		"email": {MaskEmail, map[string]string{
			"li.ming@example.com": "l***@example.com", "张三@example.com": "张***@example.com", "a@example.com": "***@example.com",
			"": "***", "@example.com": "***",
		}},
		"name": {MaskName, map[string]string{
			"李明": "李*", "李小明": "李**", "欧阳小明": "欧阳**", "欧阳": "欧*", "欧阳明": "欧阳*", "丹": "*", "": "",
			"阿卜杜拉·买买提": "阿***·***", "John Smith": "J*** S****", "Jean-Luc Li": "J***-L** L*", "O'Brien": "O******",
			"J Smith": "* S****", "Élodie": "É*****", "김철수": "김**", "李 小明": "李 **", "阿May": "阿M**",
		}},
		"card": {MaskCard, map[string]string{"6688001234": "****1234", "A12345": "****45", "A12": "****", "": "****"}},
		"address": {MaskAddressLine, map[string]string{
			"中山路123号5栋602室": "中山路***", "人民大道一百号": "人民大***", "12号": "***", "": "***", "幸福里": "幸***",
			"上海市浦东新区世纪大道100号": "上海市浦东新***", "12 Nathan Road": "***", "Nathan Road 12": "Nathan***",
		}},
	} {
		for in, want := range c.want {
			require.Equal(t, want, c.mask(in), "%s %q", name, in)
		}
	}
}
