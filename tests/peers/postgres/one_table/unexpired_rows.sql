SELECT credits, expired_at FROM credits WHERE user_uuid = $1 AND expired_at >= now() ORDER BY expired_at
