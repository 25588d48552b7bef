package match

import "strings"

// nicknames gives the short forms of a name the same number.
var nicknames = func() map[string]int {
	m := map[string]int{}
	for i, group := range strings.Split(`william will bill billy willie liam|robert rob bob bobby robbie|richard rick dick ricky|james jim jimmy jamie
john jack johnny jon|joseph joe joey|thomas tom tommy|michael mike mick mickey|charles charlie chuck|edward ed eddie ted ned|henry harry hank
elizabeth liz beth betty lizzie eliza libby|margaret maggie meg peggy marge|katherine kate katie kathy kat|catherine cathy cate cath|susan sue susie
patricia pat patty trish|patrick pat paddy|jennifer jen jenny|jessica jess jessie|samantha sam sammy|samuel sam sammy|alexander alex sandy xander
alexandra alex sandra lexie|benjamin ben benny|daniel dan danny|david dave davey|matthew matt|andrew andy drew|anthony tony|christopher chris kit
christine chris christina tina|nicholas nick nicky|nicole nikki nicky|steven steve|stephen steve|timothy tim|gregory greg|kenneth ken kenny|lawrence larry
jeffrey jeff|ronald ron ronnie|donald don donny|frederick fred freddie|rebecca becky bec becca|deborah deb debbie|barbara barb barbie|victoria vicky tori
isabella bella izzy|gabrielle gabby|madeline maddie|madison maddie|joshua josh|jacob jake|zachary zac zach|nathan nate|nathaniel nat nate|peter pete
philip phil|raymond ray|theodore ted theo|theresa terry tess|abigail abby|amanda mandy|angela angie|cynthia cindy|dorothy dot dotty|emily em emmy|olivia liv livvy
charlotte charlie lottie|natalie nat|caitlin cait|lachlan lachie|cameron cam|mitchell mitch|bradley brad`, "\n") {
		for j, names := range strings.Split(group, "|") {
			for _, n := range strings.Fields(names) {
				if m[n] == 0 { // a short form of two names stays with the first
					m[n] = 1 + i*100 + j
				}
			}
		}
	}
	return m
}()
