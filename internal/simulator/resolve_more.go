package simulator

func init() {
	extend(fields{
		"publicApiVersions": func(q *query, _ any, _ map[string]any) (any, error) {
			return each(stableVersions, func(version string) any { return q.object("ApiVersion", version) }), nil
		},
		// The older lists of discounts, by method.
		"codeDiscountNodes":      root("read_discounts", "codeDiscountNodes", byMethod(typeDiscountCode).page),
		"automaticDiscountNodes": root("read_discounts", "automaticDiscountNodes", byMethod(typeDiscountAutomatic).page),
		"codeDiscountNode":       root("read_discounts", "codeDiscountNode", byMethod(typeDiscountCode).find),
		"automaticDiscountNode":  root("read_discounts", "automaticDiscountNode", byMethod(typeDiscountAutomatic).find),
	}, "QueryRoot")
	extend(fields{
		"media": with(func(q *query, p *Product, args map[string]any) (any, error) {
			return small(q, args, typeMediaImage, p.pictures(), func(i *Image) int64 { return i.ID })
		}),
		"mediaCount": with(func(q *query, p *Product, _ map[string]any) (any, error) {
			n := int64(len(p.pictures()))
			return q.count(n, n), nil
		}),
	}, typeProduct)
	// What the simulator attaches no metafields to has none.
	none := fields{
		"metafield": always(nil),
		"metafields": func(q *query, _ any, args map[string]any) (any, error) {
			return small(q, args, typeMetafield, []*Metafield{}, func(m *Metafield) int64 { return m.ID })
		},
	}
	extend(none, typeInstallation, typeLocation, typeOrder, typeMediaImage, "Image")
	extend(fields{
		"metafield":  metafieldOf(func(d *Discount) []*Metafield { return d.Metafields }),
		"metafields": metafieldsOf(func(d *Discount) []*Metafield { return d.Metafields }),
	}, "DiscountNode", typeDiscountCode, typeDiscountAutomatic)
}

// byMethod is a list of the discounts of one method.
func byMethod(kind string) list[*Discount] {
	out := discounts
	out.typename = kind
	out.visible = func(_ *query, d *Discount) bool { return d.Automatic() == (kind == typeDiscountAutomatic) }
	return out
}
