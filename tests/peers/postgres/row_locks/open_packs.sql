SELECT id, remaining FROM packs
WHERE user_uuid = $1 AND remaining > 0 AND expired_at > now()
ORDER BY expired_at, id
