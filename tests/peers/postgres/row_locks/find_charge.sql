SELECT FROM charges WHERE user_uuid = $1 AND generation_uuid = $2
