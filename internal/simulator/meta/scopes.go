package meta

import "slices"

// Permissions that apps may ask for. Source: "Permissions Reference".
var permissions = []string{
	"public_profile", "email", "pages_show_list", "pages_manage_metadata", "pages_messaging", "pages_read_engagement",
	"pages_read_user_content", "pages_manage_posts", "pages_manage_engagement", "pages_manage_ads", "page_events", "pages_utility_messaging",
	"business_management", "instagram_basic", "instagram_manage_messages", "instagram_manage_comments", "instagram_content_publish",
	"ads_management", "ads_read", "leads_retrieval", "catalog_management", "read_insights",
}

// forPages tells of a permission whether it is given for named Pages.
func forPages(scope string) bool {
	return scope != "public_profile" && scope != "email"
}

// webhookFields are those of the object page that can be subscribed to. Source:
// "Page Webhooks Reference" and "Messenger webhook events"; spellings that
// differ between those pages are all taken here, and that is unproven.
var webhookFields = []string{
	"feed", "mention", "name", "ratings", "leadgen", "messages", "messaging_postbacks", "messaging_optins", "messaging_referrals",
	"message_deliveries", "message_reads", "message_echoes", "message_reactions", "message_edits", "message_context",
	"messaging_handovers", "messaging_account_linking", "messaging_policy_enforcement", "messaging_feedback", "messaging_customer_information",
	"message_template_status_update", "standby", "send_cart", "response_feedback", "business_integrity",
}

func knownField(name string) bool { return slices.Contains(webhookFields, name) }

// WebhookFields are the fields of the object page that can be subscribed to.
func WebhookFields() []string { return slices.Clone(webhookFields) }
